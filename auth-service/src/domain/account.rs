//! What user-service knows of an account: status, rights, and the credential of a login.

use std::fmt;

use identity_guard::{clock::Timestamp, position::Position};

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

/// A role or a direct permission of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub name: String,
    /// When the user loses it by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// A user's status and rights at one position of the user feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSnapshot {
    /// The user.
    pub user_id: UserId,
    /// Whether the user may use the system.
    pub status: AccountStatus,
    /// The user's roles, by name.
    pub roles: Vec<Grant>,
    /// The user's direct permissions, by name.
    pub direct_permissions: Vec<Grant>,
    /// The names of everything the user holds, sorted.
    pub effective_permissions: Vec<String>,
    /// Where in the user feed all of this was read.
    pub position: Position,
}

impl AccessSnapshot {
    /// The names of the user's roles, sorted.
    #[must_use]
    pub fn role_names(&self) -> Vec<String> {
        self.roles.iter().map(|grant| grant.name.clone()).collect()
    }

    /// The rights that a token of this life can carry, and the life that is left to it: no token outlives what it
    /// carries. What ends within the second is as good as ended, since tokens end at whole seconds.
    #[must_use]
    pub fn carried(&self, now: Timestamp, expires_at: Timestamp) -> Carried<'_> {
        let lasts = |grant: &&Grant| {
            grant
                .ends_at
                .is_none_or(|end| end.seconds() > now.seconds())
        };
        let roles: Vec<_> = self.roles.iter().filter(lasts).collect();
        let direct: Vec<_> = self.direct_permissions.iter().filter(lasts).collect();
        let ends = roles
            .iter()
            .chain(&direct)
            .filter_map(|grant| grant.ends_at);
        Carried {
            expires_at: ends.fold(expires_at, Timestamp::min),
            roles: roles.into_iter().map(|grant| grant.name.as_str()).collect(),
            direct: direct
                .into_iter()
                .map(|grant| grant.name.as_str())
                .collect(),
        }
    }

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

/// What an access token carries, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried<'a> {
    /// When the token must have ended.
    pub expires_at: Timestamp,
    /// The names of the roles, sorted.
    pub roles: Vec<&'a str>,
    /// The names of the direct permissions, sorted.
    pub direct: Vec<&'a str>,
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_500_000);

    fn grant(name: &str, ends_at: Option<i64>) -> Grant {
        Grant {
            name: name.to_owned(),
            ends_at: ends_at.map(Timestamp::from_micros),
        }
    }

    fn holding(roles: Vec<Grant>, direct_permissions: Vec<Grant>) -> AccessSnapshot {
        AccessSnapshot {
            user_id: UserId::trusted("u"),
            status: AccountStatus::Active,
            roles,
            direct_permissions,
            effective_permissions: Vec::new(),
            position: Position::default(),
        }
    }

    #[test]
    fn no_token_outlives_what_it_carries() {
        let life = Timestamp::from_seconds(1_800_000_600);
        let endless = holding(vec![grant("a", None)], Vec::new());
        assert_eq!(endless.carried(NOW, life).expires_at, life);
        let later = grant("a", Some(1_800_000_601_000_000));
        assert_eq!(
            holding(vec![later], Vec::new())
                .carried(NOW, life)
                .expires_at,
            life
        );
        let (role, direct) = (
            grant("a", Some(1_800_000_060_000_000)),
            grant("b", Some(1_800_000_030_000_000)),
        );
        let both = holding(vec![role], vec![direct]);
        let carried = both.carried(NOW, life);
        assert_eq!(carried.expires_at, Timestamp::from_seconds(1_800_000_030));
        assert_eq!((carried.roles, carried.direct), (vec!["a"], vec!["b"]));
    }

    #[test]
    fn what_ends_within_the_second_is_not_carried_and_leaves_the_token_its_life() {
        let life = Timestamp::from_seconds(1_800_000_600);
        let roles = vec![
            grant("a", Some(NOW.as_micros() + 1)),
            grant("b", Some(1_800_000_001_000_000)),
            grant("c", None),
        ];
        let access = holding(roles, Vec::new());
        let carried = access.carried(NOW, life);
        assert_eq!(carried.roles, ["b", "c"]);
        assert_eq!(carried.expires_at, Timestamp::from_seconds(1_800_000_001));
    }
}
