//! What the build makes of `notes_service.proto`.
#![expect(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated code"
)]

tonic::include_proto!("notes.v1");

/// The contract with its access rules, for the guard.
pub(crate) const DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptor_set");
