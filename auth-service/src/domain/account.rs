//! What user-service knows of an account: status, rights, and the credential of a login.

use std::fmt;

use identity_guard::position::Position;

use super::id::UserId;

/// Whether a user may use the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// May log in.
    Active,
    /// May not log in; ended without blame.
    Inactive,
    /// May not log in; shut out.
    Suspended,
}

/// The account exists and may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not active.
    #[error("the account is not active")]
    Inactive,
    /// It is suspended.
    #[error("the account is suspended")]
    Suspended,
}

/// A user's status and rights at one position of the user feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSnapshot {
    /// The user.
    pub user_id: UserId,
    /// Whether the user may use the system.
    pub status: AccountStatus,
    /// The names of the user's roles, sorted.
    pub roles: Vec<String>,
    /// The names of the user's direct permissions, sorted.
    pub direct_permissions: Vec<String>,
    /// The names of everything the user holds, sorted.
    pub effective_permissions: Vec<String>,
    /// Where in the user feed all of this was read.
    pub position: Position,
}

impl AccessSnapshot {
    /// Passes when the account may be used.
    ///
    /// # Errors
    ///
    /// [`Unusable`] with the cause.
    pub fn require_usable(&self) -> Result<(), Unusable> {
        match self.status {
            AccountStatus::Active => Ok(()),
            AccountStatus::Inactive => Err(Unusable::Inactive),
            AccountStatus::Suspended => Err(Unusable::Suspended),
        }
    }
}

/// A password hash as a PHC string; its text never shows in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a PHC string; empty means that no password is set.
    #[must_use]
    pub fn from_phc(phc: String) -> Option<Self> {
        (!phc.is_empty()).then_some(Self(phc))
    }

    /// The PHC string.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

/// Everything that a login needs to know of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Absent when no password is set.
    pub password_hash: Option<PasswordHash>,
    /// Whether somebody else chose the password, so that it must be changed at login.
    pub password_change_required: bool,
    /// Grows with every change of the hash.
    pub version: u64,
    /// Status and rights.
    pub access: AccessSnapshot,
    /// What a new password may not be, in lower case.
    pub forbidden_passwords: Vec<String>,
}

impl fmt::Debug for Credential {
    // The forbidden passwords are made of the user's names and address.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("user_id", &self.access.user_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Why a password hash is set: it decides what else ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordChangeCause {
    /// The same password under the current policy: nothing ends.
    Rehash,
    /// The user chose a new password.
    Change,
}

/// A compare-and-set of a password hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordChange {
    /// The user.
    pub user_id: UserId,
    /// The new hash.
    pub password_hash: PasswordHash,
    /// The version that the caller read.
    pub expected_version: u64,
    /// The same id is the same operation: repeating it changes nothing more.
    pub operation_id: String,
    /// Why.
    pub cause: PasswordChangeCause,
}
