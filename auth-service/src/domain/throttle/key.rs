//! Keys of counters, which tell nobody what was typed or from where.

use std::fmt;

use aws_lc_rs::hmac;

use crate::domain::{id::UserId, identifier::LoginIdentifier};

/// Under which a counter is kept: it tells nobody what was typed or from where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleKey(Vec<u8>);

impl ThrottleKey {
    /// Takes a key from the own database.
    #[must_use]
    pub fn trusted(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ThrottleKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ThrottleKey(…)")
    }
}

/// Makes the keys of counters.
pub struct ThrottleKeys(hmac::Key);

impl ThrottleKeys {
    /// With a secret, so that the table cannot be searched by guessing.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Of an identifier from a network.
    #[must_use]
    pub fn pair(&self, identifier: &LoginIdentifier, network: &str) -> ThrottleKey {
        self.key(&["pair", &identifier.canonical(), network])
    }

    /// Of a network.
    #[must_use]
    pub fn network(&self, network: &str) -> ThrottleKey {
        self.key(&["network", network])
    }

    /// Of an account.
    #[must_use]
    pub fn account(&self, user_id: &UserId) -> ThrottleKey {
        self.key(&["account", user_id.as_str()])
    }

    /// In the place of an account that does not exist, so that it costs the same.
    #[must_use]
    pub fn no_account(&self, identifier: &LoginIdentifier) -> ThrottleKey {
        self.key(&["no account", &identifier.canonical()])
    }

    fn key(&self, parts: &[&str]) -> ThrottleKey {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            // The length first: no two lists of parts run together into one text.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        ThrottleKey(context.sign().as_ref().to_vec())
    }
}

/// Under which a login is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginKeys {
    /// Of the identifier from the network.
    pub pair: ThrottleKey,
    /// Of the network.
    pub network: ThrottleKey,
    /// Of the account, or what stands in its place.
    pub account: ThrottleKey,
}

#[cfg(test)]
mod tests {
    use super::ThrottleKeys;
    use crate::domain::identifier::LoginIdentifier;

    #[test]
    fn spellings_share_a_key_and_parts_do_not_run_together() {
        let keys = ThrottleKeys::new(&[7; 32]);
        let identifier = |text| LoginIdentifier::parse(text).unwrap();
        assert_eq!(
            keys.pair(&identifier("Ada"), "n"),
            keys.pair(&identifier("ada"), "n")
        );
        assert_ne!(
            keys.pair(&identifier("ada1"), "27"),
            keys.pair(&identifier("ada"), "127")
        );
    }
}
