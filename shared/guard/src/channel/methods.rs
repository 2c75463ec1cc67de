//! Which methods of the contract are unary: only those are retried.

use std::{collections::HashSet, sync::LazyLock};

use prost::Message;
use prost_types::FileDescriptorSet;

static UNARY: LazyLock<HashSet<String>> = LazyLock::new(|| unary(identity_proto::DESCRIPTOR_SET));

/// Whether the contract declares a method with one request and one answer. A method that it does not know is not.
pub(super) fn is_unary(path: &str) -> bool {
    UNARY.contains(path)
}

fn unary(descriptors: &[u8]) -> HashSet<String> {
    // A set that does not decode means no retries; the rules of the guard refuse to start with it.
    let set = FileDescriptorSet::decode(descriptors).unwrap_or_default();
    let mut paths = HashSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                if !method.client_streaming() && !method.server_streaming() {
                    paths.insert(format!(
                        "/{}.{}/{}",
                        file.package(),
                        service.name(),
                        method.name()
                    ));
                }
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::is_unary;

    #[test]
    fn streams_and_strangers_are_not_unary() {
        assert!(is_unary("/identity.auth.v1.AuthService/ValidateToken"));
        assert!(!is_unary("/identity.auth.v1.AccessFeedService/Watch"));
        assert!(!is_unary("/example.Service/Method"));
    }
}
