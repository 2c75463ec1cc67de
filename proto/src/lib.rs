//! The gRPC contract of the identity services: generated messages and stubs, and the descriptor set.
//!
//! There is no logic here. The comments of the `.proto` files are the documentation of the generated items.

mod redact;

/// The whole contract as an encoded `google.protobuf.FileDescriptorSet`, with comments and options.
pub const DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/identity_descriptor.bin"));

/// Who may call an RPC.
pub mod access {
    /// Version 1.
    #[expect(clippy::pedantic, reason = "generated code")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/identity.access.v1.rs"));
    }
}

/// Why a call failed.
pub mod error {
    /// Version 1.
    #[expect(clippy::pedantic, reason = "generated code")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/identity.error.v1.rs"));
    }
}

/// user-service.
pub mod user {
    /// Version 1.
    #[expect(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/identity.user.v1.rs"));
    }
}

/// auth-service.
pub mod auth {
    /// Version 1.
    #[expect(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/identity.auth.v1.rs"));
    }
}
