//! The parts of a descriptor set that name its RPCs, as messages that leave out all the rest.
//!
//! The whole set, comments and all, would take a megabyte while it is read, which the process then keeps.

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileDescriptorSet {
    #[prost(message, repeated, tag = "1")]
    pub file: Vec<FileDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileDescriptor {
    #[prost(string, tag = "2")]
    pub package: String,
    #[prost(message, repeated, tag = "6")]
    pub service: Vec<ServiceDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ServiceDescriptor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub method: Vec<MethodDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MethodDescriptor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bool, tag = "5")]
    pub client_streaming: bool,
    #[prost(bool, tag = "6")]
    pub server_streaming: bool,
}
