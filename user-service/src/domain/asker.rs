//! Who asks for what costs others, under keys that tell nobody from where.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_kit::secret::join;

/// Somebody whose asking is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// What they are counted under.
    pub key: String,
    /// Most times in an hour.
    pub limit: i64,
}

/// Tells askers apart.
pub struct Askers(hmac::Key);

impl Askers {
    /// With a secret, so that the table cannot be searched by trying every network.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A network, a user, or with an empty name everybody, who asks for one kind of thing.
    #[must_use]
    pub fn asker(&self, purpose: &str, name: &str, limit: i64) -> Asker {
        let tag = hmac::sign(&self.0, &join(&[purpose.as_bytes(), name.as_bytes()]));
        Asker {
            key: URL_SAFE_NO_PAD.encode(tag),
            limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_askers_and_purposes_apart_and_nothing_else() {
        let askers = Askers::new(&[7; 32]);
        let one = askers.asker("register", "192.0.2.1/32", 1);
        assert_eq!(one, askers.asker("register", "192.0.2.1/32", 1));
        assert!(!one.key.contains("192.0.2.1"));
        for other in [
            askers.asker("register", "192.0.2.2/32", 1),
            askers.asker("register", "", 1),
            askers.asker("register1", "92.0.2.1/32", 1),
            Askers::new(&[8; 32]).asker("register", "192.0.2.1/32", 1),
        ] {
            assert_ne!(one.key, other.key);
        }
    }
}
