//! Opaque tokens: a public id part, and 256 random bits of which only a hash is stored.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_kit::{entropy::Entropy, id::new_id};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::id::TokenId;

/// Bytes of a secret part.
const SECRET_LENGTH: usize = 32;
/// Characters of the id part.
const ID_LENGTH: usize = 24;

/// The text is not an opaque token of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a token of this kind")]
pub struct InvalidOpaqueToken;

/// What a token is for; each kind has its prefix, so that none passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Traded for new tokens.
    Refresh,
    /// The next step of a login.
    Challenge,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "idr",
            Self::Challenge => "idc",
        }
    }
}

/// What the database holds of a secret part: its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(Vec<u8>);

impl SecretHash {
    /// Takes a hash from the own database.
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

/// An opaque token with its secret part.
#[derive(Clone)]
pub struct OpaqueToken {
    kind: TokenKind,
    id: TokenId,
    secret: Zeroizing<[u8; SECRET_LENGTH]>,
}

impl OpaqueToken {
    /// Makes a new one.
    #[must_use]
    pub fn generate(kind: TokenKind, entropy: &dyn Entropy) -> Self {
        let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
        entropy.fill(secret.as_mut_slice());
        let id = TokenId::trusted(new_id(entropy));
        Self { kind, id, secret }
    }

    /// Puts one together again from its parts.
    #[must_use]
    pub fn from_parts(kind: TokenKind, id: TokenId, secret: &[u8]) -> Option<Self> {
        let secret = Zeroizing::new(<[u8; SECRET_LENGTH]>::try_from(secret).ok()?);
        Some(Self { kind, id, secret })
    }

    /// Reads the text of a token, strictly: one spelling a token.
    ///
    /// # Errors
    ///
    /// [`InvalidOpaqueToken`] when the prefix, the id part or the secret part has another shape.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, InvalidOpaqueToken> {
        // The secret part may hold underscores itself: only the first two separate.
        let mut parts = text.splitn(3, '_');
        let (Some(prefix), Some(id), Some(secret)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidOpaqueToken);
        };
        if prefix != kind.prefix() || id.len() != ID_LENGTH {
            return Err(InvalidOpaqueToken);
        }
        let id = TokenId::parse(id).map_err(|_| InvalidOpaqueToken)?;
        let mut bytes = Zeroizing::new([0; SECRET_LENGTH]);
        let length = URL_SAFE_NO_PAD
            .decode_slice(secret, bytes.as_mut_slice())
            .map_err(|_| InvalidOpaqueToken)?;
        if length != SECRET_LENGTH {
            return Err(InvalidOpaqueToken);
        }
        Ok(Self {
            kind,
            id,
            secret: bytes,
        })
    }

    /// The public part.
    #[must_use]
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The secret part: a key that the database does not have.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.secret.as_slice()
    }

    /// What the database may hold.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        let hash = digest::digest(&digest::SHA256, self.secret.as_slice());
        SecretHash(hash.as_ref().to_vec())
    }

    /// Whether the stored hash is of this token's secret, in constant time.
    #[must_use]
    pub fn matches(&self, stored: &SecretHash) -> bool {
        self.hash().0.ct_eq(&stored.0).into()
    }

    /// The text for the caller: secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        format!("{}_{}_{}", self.kind.prefix(), self.id, secret.as_str())
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}_{}_…", self.kind.prefix(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use identity_kit::entropy::SystemEntropy;
    use proptest::prelude::*;

    use super::{InvalidOpaqueToken, OpaqueToken, TokenKind};

    #[test]
    fn a_token_survives_its_text_and_only_its_kind_accepts_it() {
        let token = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
        let text = token.to_text();
        let read = OpaqueToken::parse(TokenKind::Refresh, &text).unwrap();
        assert!(read.matches(&token.hash()));
        assert_eq!(read.id(), token.id());
        assert_eq!(
            OpaqueToken::parse(TokenKind::Challenge, &text).unwrap_err(),
            InvalidOpaqueToken
        );
    }

    #[test]
    fn debug_hides_the_secret() {
        let token = OpaqueToken::generate(TokenKind::Challenge, &SystemEntropy);
        let text = token.to_text();
        let secret = text.rsplit_once(token.id().as_str()).unwrap().1;
        assert!(!format!("{token:?}").contains(secret));
    }

    #[test]
    fn another_spelling_of_the_same_secret_is_refused() {
        let id = "a".repeat(24);
        let canonical = format!("idr_{id}_{}", "A".repeat(43));
        assert!(OpaqueToken::parse(TokenKind::Refresh, &canonical).is_ok());
        for text in [
            format!("idr_{id}_{}B", "A".repeat(42)),
            format!("idr_{id}_{}=", "A".repeat(43)),
            format!("idr_{id}_{}", "A".repeat(44)),
            format!("idr_{}_{}", "a".repeat(23), "A".repeat(43)),
            format!("IDR_{id}_{}", "A".repeat(43)),
            String::new(),
        ] {
            assert!(
                OpaqueToken::parse(TokenKind::Refresh, &text).is_err(),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_accepts_only_its_own_spelling(text in ".{0,120}") {
            if let Ok(token) = OpaqueToken::parse(TokenKind::Refresh, &text) {
                prop_assert_eq!(token.to_text(), text);
            }
        }
    }
}
