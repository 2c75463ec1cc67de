//! Password credentials: the hash, who chose it, and how it is replaced.

use std::fmt;

use super::{access::AccessSnapshot, id::UserId, identifier::OperationId, problem::Problem};

/// A PHC string. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The longest hash, in characters.
    pub const MAX: usize = 512;

    /// Reads a PHC string: it begins with `$`, and is printable ASCII.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        if raw.len() > Self::MAX {
            return Err(Problem::TooLong(Self::MAX));
        }
        if raw.starts_with('$') && raw.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(Problem::Format("must be a PHC string"))
        }
    }

    /// Takes a hash that was just made, or checked before it was stored.
    pub(crate) const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The PHC string.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash([redacted])")
    }
}

/// Everything that a login needs.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `None` when no password is set.
    pub hash: Option<PasswordHash>,
    /// Whether somebody else chose the password.
    pub change_required: bool,
    /// Grows with every change of the hash.
    pub version: u64,
    /// Status and rights.
    pub access: AccessSnapshot,
    /// What a new password may not be.
    pub forbidden: Vec<String>,
}

/// Why a hash is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeCause {
    /// The same password under the current policy.
    Rehash,
    /// A new password, chosen by the user.
    Change,
    /// A new password, after the proof of an address.
    Reset,
}

impl ChangeCause {
    /// The name under which it stands in the feed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rehash => "rehash",
            Self::Change => "change",
            Self::Reset => "reset",
        }
    }

    /// The cause of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Rehash, Self::Change, Self::Reset]
            .into_iter()
            .find(|cause| cause.as_str() == name)
    }

    /// Whether the user has now chosen the password.
    #[must_use]
    pub const fn is_chosen_by_user(self) -> bool {
        match self {
            Self::Rehash => false,
            Self::Change | Self::Reset => true,
        }
    }
}

/// A change of a hash, if the credential still is as it was read.
#[derive(Clone, Debug)]
pub struct HashChange {
    /// The user.
    pub user_id: UserId,
    /// The new hash.
    pub hash: PasswordHash,
    /// The version that was read.
    pub expected_version: u64,
    /// The operation: repeating it changes nothing more.
    pub operation_id: OperationId,
    /// Why.
    pub cause: ChangeCause,
    /// The session that goes on.
    pub spared_session_id: Option<String>,
}

/// What a password of this person may not be: the username, the names and the parts of the address, in lower case.
#[must_use]
pub fn forbidden_passwords(
    username: &str,
    email: &str,
    first_name: &str,
    last_name: &str,
) -> Vec<String> {
    let (local_part, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let mut words: Vec<String> = [username, first_name, last_name, email, local_part, domain]
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_not_shown() {
        let hash = PasswordHash::parse("$argon2id$v=19$m=8$salt$hash").unwrap();
        assert!(!format!("{hash:?}").contains("argon2"));
    }

    #[test]
    fn what_is_no_phc_string_is_refused() {
        for raw in ["", "plain", "$a b", "$\0", "$é"] {
            assert!(PasswordHash::parse(raw).is_err(), "{raw:?}");
        }
        assert_eq!(
            PasswordHash::parse(&"$".repeat(513)),
            Err(Problem::TooLong(512))
        );
    }

    #[test]
    fn own_names_make_bad_passwords() {
        let words = forbidden_passwords("Ada", "ada@Example.org", "Ada", "Lovelace");
        assert_eq!(words, ["ada", "ada@example.org", "example.org", "lovelace"]);
    }
}
