//! Proofs of e-mail addresses: the token that is mailed, and what it is the proof for.

use std::{fmt, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_guard::clock::Timestamp;
use identity_kit::entropy::{self, Entropy};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{email::Email, problem::Problem, user::NewUser};

/// Bytes of the secret part.
const SECRET: usize = 32;
/// Stands before the id, so that no other token passes for one.
const PREFIX: &str = "ide";

/// How long a token is good, and what waits for it is kept.
pub const LIFE: Duration = Duration::from_hours(24);
/// How long a mail is in the hands of a mailer before another one gets it.
pub const LEASE: Duration = Duration::from_mins(5);
/// How often a mail is handed out.
pub const MAX_CLAIMS: i32 = 10;

/// What proves an address: the public id of what waits, and 256 random bits of which only a hash is stored.
#[derive(Clone)]
pub struct EmailToken {
    id: String,
    secret: Zeroizing<[u8; SECRET]>,
}

impl EmailToken {
    /// A new one for what waits under an id.
    #[must_use]
    pub fn generate(id: String, entropy: &dyn Entropy) -> Self {
        let secret = Zeroizing::new(entropy::bytes(entropy));
        Self { id, secret }
    }

    /// Reads `ide_`, an id, `_` and 43 characters of base64url.
    ///
    /// # Errors
    /// When it is empty, too long, or has control characters. The outer `Ok(None)` means that it was never a token.
    pub fn parse(raw: &str) -> Result<Option<Self>, Problem> {
        const MAX: usize = 128;
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        if raw.len() > MAX {
            return Err(Problem::TooLong(MAX));
        }
        if raw.chars().any(char::is_control) {
            return Err(Problem::ControlCharacter);
        }
        // The secret part may hold underscores itself: only the first two separate.
        let mut parts = raw.splitn(3, '_');
        let (Some(PREFIX), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let mut secret = Zeroizing::new([0; SECRET]);
        match URL_SAFE_NO_PAD.decode_slice(text, secret.as_mut_slice()) {
            Ok(SECRET) => Ok(Some(Self {
                id: id.to_owned(),
                secret,
            })),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// The public part.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the database may hold: the SHA-256 of the secret part.
    #[must_use]
    pub fn hash(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.secret.as_slice());
        URL_SAFE_NO_PAD.encode(hash)
    }

    /// Whether a stored hash is of this token's secret, in constant time.
    #[must_use]
    pub fn matches(&self, stored: &str) -> bool {
        self.hash().as_bytes().ct_eq(stored.as_bytes()).into()
    }

    /// The text for the mail: secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        format!("{PREFIX}_{}_{}", self.id, secret.as_str())
    }
}

impl fmt::Debug for EmailToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}_{}_…", self.id)
    }
}

/// What waits for a proof.
#[derive(Clone, Debug)]
pub enum Begun {
    /// An account: the user to be, who has no password before the address is proven.
    Account(Box<NewUser>),
    /// The new address of a user.
    Change(Email),
}

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailPurpose {
    /// To prove the address of an account that has begun.
    Registration,
    /// To prove the new address of a user.
    Change,
    /// To tell the owner of an address that somebody tried to use it again.
    AddressKnown,
}

/// A mail to be sent.
#[derive(Clone, Debug)]
pub struct PendingMail {
    /// To report it by.
    pub id: String,
    /// What it is about.
    pub purpose: MailPurpose,
    /// Where it goes.
    pub email: Email,
    /// What proves the address; none for one that is known.
    pub token: Option<EmailToken>,
    /// Until when the token is good.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use identity_kit::testing::SeededEntropy;

    use super::*;

    #[test]
    fn a_token_survives_its_text_and_matches_its_own_hash_alone() {
        let entropy = SeededEntropy::new(1);
        let token = EmailToken::generate("abc".into(), &entropy);
        let read = EmailToken::parse(&token.to_text()).unwrap().unwrap();
        assert_eq!(read.id(), "abc");
        assert!(read.matches(&token.hash()));
        assert!(!EmailToken::generate("abc".into(), &entropy).matches(&token.hash()));
        assert!(!read.matches(""));
    }

    #[test]
    fn debug_hides_the_secret() {
        let token = EmailToken::generate("abc".into(), &SeededEntropy::new(1));
        assert_eq!(format!("{token:?}"), "ide_abc_…");
    }

    #[test]
    fn what_is_no_token_is_none_and_what_can_be_none_is_malformed() {
        for raw in ["x", "ide_a_b", "idr_abc_", "ide__", "__"] {
            assert!(EmailToken::parse(raw).unwrap().is_none(), "{raw}");
        }
        let token = EmailToken::generate("abc".into(), &SeededEntropy::new(1)).to_text();
        // Another spelling of the same bits.
        let last = format!("{token}=");
        assert!(EmailToken::parse(&last).unwrap().is_none());
        assert_eq!(EmailToken::parse("").unwrap_err(), Problem::Empty);
        assert_eq!(
            EmailToken::parse(&"x".repeat(129)).unwrap_err(),
            Problem::TooLong(128)
        );
        assert_eq!(
            EmailToken::parse("a\0").unwrap_err(),
            Problem::ControlCharacter
        );
    }
}
