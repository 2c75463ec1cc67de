//! A key that signs access tokens, and where it is in its life.

use identity_guard::{clock::Timestamp, engine::SignatureAlgorithm};

/// Where a key is in its life; it only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// In the key set, not signing yet.
    Published,
    /// In the key set and signing.
    Active,
    /// In the key set until the last token that it signed has ended.
    Retired,
    /// Not in the key set; what it signed is refused.
    Withdrawn,
}

impl KeyState {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Reads the name from the database.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Published,
            Self::Active,
            Self::Retired,
            Self::Withdrawn,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }
}

/// The public side of a key that signs access tokens.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The `kid`: the thumbprint of RFC 7638.
    pub id: String,
    /// The one algorithm that it is used with.
    pub algorithm: SignatureAlgorithm,
    /// Where it is in its life.
    pub state: KeyState,
    /// The public half as a JSON Web Key.
    pub public_jwk: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When the last token that it signed ends at the latest; absent while it signs.
    pub expires_at: Option<Timestamp>,
}

impl SigningKey {
    /// Whether verifiers may use it now.
    #[must_use]
    pub fn is_in_key_set(&self, now: Timestamp) -> bool {
        match self.state {
            KeyState::Published | KeyState::Active => true,
            KeyState::Retired => self.expires_at.is_none_or(|end| now < end),
            KeyState::Withdrawn => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use identity_guard::{clock::Timestamp, engine::SignatureAlgorithm};

    use super::{KeyState, SigningKey};

    #[test]
    fn a_key_leaves_the_key_set_when_its_last_token_has_ended_or_it_is_withdrawn() {
        let now = Timestamp::from_micros(5);
        let mut key = SigningKey {
            id: String::new(),
            algorithm: SignatureAlgorithm::Es256,
            state: KeyState::Published,
            public_jwk: String::new(),
            created_at: now,
            activated_at: None,
            expires_at: None,
        };
        assert!(key.is_in_key_set(now));
        key.state = KeyState::Retired;
        key.expires_at = Some(now);
        assert!(!key.is_in_key_set(now));
        assert!(key.is_in_key_set(Timestamp::from_micros(4)));
        key.state = KeyState::Withdrawn;
        assert!(!key.is_in_key_set(Timestamp::from_micros(4)));
    }

    #[test]
    fn names_of_states_are_read_back() {
        for state in [
            KeyState::Published,
            KeyState::Active,
            KeyState::Retired,
            KeyState::Withdrawn,
        ] {
            assert_eq!(KeyState::parse(state.as_str()), Some(state));
        }
        assert_eq!(KeyState::parse("lost"), None);
    }
}
