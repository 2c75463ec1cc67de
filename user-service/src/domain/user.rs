//! People: their profiles, their statuses, and what can be done to them.

use identity_guard::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    address::Address,
    email::Email,
    etag::Etag,
    id::{RoleId, UserId, UserTypeId},
    name::PermissionName,
    phone::Phone,
    search::SearchQuery,
    text::{PersonName, Reason},
    username::Username,
};

/// Whether a user may use the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// May log in.
    Active,
    /// May not log in; ended without blame.
    Inactive,
    /// May not log in; shut out.
    Suspended,
}

impl UserStatus {
    /// The name under which it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
        }
    }

    /// The status of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::Suspended]
            .into_iter()
            .find(|status| status.as_str() == name)
    }
}

/// A person's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Never used again.
    pub id: UserId,
    /// As written.
    pub username: Username,
    /// As written.
    pub email: Email,
    /// Whether the address was proven to be the user's.
    pub email_verified: bool,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// Telephone number, when known.
    pub phone: Option<Phone>,
    /// Postal address, when known.
    pub address: Option<Address>,
    /// Whether the user may use the system.
    pub status: UserStatus,
    /// Why the status was last changed.
    pub status_reason: Reason,
    /// The type.
    pub user_type_id: UserTypeId,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When the profile or the status last changed.
    pub updated_at: Timestamp,
    /// Grows with every change of the profile or the status.
    pub version: i64,
}

impl User {
    /// The etag of this state.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of(self.id.as_str(), self.version)
    }
}

/// A user to be created.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// A fresh id.
    pub id: UserId,
    /// Username.
    pub username: Username,
    /// E-mail address.
    pub email: Email,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// Telephone number, when known.
    pub phone: Option<Phone>,
    /// Postal address, when known.
    pub address: Option<Address>,
    /// The type; `None` means the default one.
    pub user_type_id: Option<UserTypeId>,
}

/// The parts of a profile to change; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// A new username.
    pub username: Option<Username>,
    /// A new address, which is not verified.
    pub email: Option<Email>,
    /// A new first name.
    pub first_name: Option<PersonName>,
    /// A new last name.
    pub last_name: Option<PersonName>,
    /// A new number, or none.
    pub phone: Option<Option<Phone>>,
    /// A new address, or none.
    pub address: Option<Option<Address>>,
    /// A new type.
    pub user_type_id: Option<UserTypeId>,
}

impl UserChange {
    /// Whether nothing is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it touches what a user may not change alone.
    #[must_use]
    pub const fn needs_permission(&self) -> bool {
        self.email.is_some() || self.user_type_id.is_some()
    }

    /// The user after the change.
    #[must_use]
    pub fn apply(&self, user: User, now: Timestamp) -> User {
        let change = self.clone();
        let email = change.email.unwrap_or_else(|| user.email.clone());
        User {
            username: change.username.unwrap_or(user.username),
            email_verified: user.email_verified && email.key() == user.email.key(),
            email,
            first_name: change.first_name.unwrap_or(user.first_name),
            last_name: change.last_name.unwrap_or(user.last_name),
            phone: change.phone.unwrap_or(user.phone),
            address: change.address.unwrap_or(user.address),
            user_type_id: change.user_type_id.unwrap_or(user.user_type_id),
            updated_at: now,
            version: user.version + 1,
            ..user
        }
    }
}

/// The order of a list of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserOrder {
    /// Newest first.
    CreatedDescending,
    /// Oldest first.
    CreatedAscending,
    /// By username.
    Username,
}

/// Which users to list.
#[derive(Clone, Debug)]
pub struct UserFilter {
    /// Only those of this status.
    pub status: Option<UserStatus>,
    /// Only those of this type.
    pub user_type_id: Option<UserTypeId>,
    /// Only those who have this role.
    pub role_id: Option<RoleId>,
    /// Only those who hold this permission, directly or through a role.
    pub permission: Option<PermissionName>,
    /// Only those whose names or address have this in them.
    pub query: Option<SearchQuery>,
    /// Only those created then or later.
    pub created_after: Option<Timestamp>,
    /// Only those created before.
    pub created_before: Option<Timestamp>,
    /// In this order.
    pub order: UserOrder,
}

/// A place in a list of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserCursor {
    /// In a list by time of creation.
    Created {
        /// Microseconds since the Unix epoch.
        at: i64,
        /// The id, which orders users of the same moment.
        id: String,
    },
    /// In a list by username.
    Username {
        /// The username in lower case.
        key: String,
    },
}

impl UserCursor {
    /// The place of a user in a list of this order.
    #[must_use]
    pub fn after(user: &User, order: UserOrder) -> Self {
        match order {
            UserOrder::CreatedDescending | UserOrder::CreatedAscending => Self::Created {
                at: user.created_at.as_micros(),
                id: user.id.as_str().to_owned(),
            },
            UserOrder::Username => Self::Username {
                key: user.username.key(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User {
            id: UserId::new("ada".into()),
            username: Username::parse("ada").unwrap(),
            email: Email::parse("ada@example.org").unwrap(),
            email_verified: true,
            first_name: PersonName::parse("Ada").unwrap(),
            last_name: PersonName::parse("Lovelace").unwrap(),
            phone: None,
            address: None,
            status: UserStatus::Active,
            status_reason: Reason::parse("").unwrap(),
            user_type_id: UserTypeId::new("person".into()),
            created_at: Timestamp::from_micros(1),
            updated_at: Timestamp::from_micros(1),
            version: 1,
        }
    }

    #[test]
    fn a_changed_address_is_no_longer_verified() {
        let change = UserChange {
            email: Some(Email::parse("countess@example.org").unwrap()),
            ..UserChange::default()
        };
        assert!(
            !change
                .apply(ada(), Timestamp::from_micros(2))
                .email_verified
        );
    }

    #[test]
    fn an_address_written_in_another_case_stays_verified() {
        let change = UserChange {
            email: Some(Email::parse("Ada@Example.org").unwrap()),
            ..UserChange::default()
        };
        assert!(
            change
                .apply(ada(), Timestamp::from_micros(2))
                .email_verified
        );
    }

    #[test]
    fn every_change_makes_another_etag() {
        let change = UserChange {
            first_name: Some(PersonName::parse("A").unwrap()),
            ..UserChange::default()
        };
        let changed = change.apply(ada(), Timestamp::from_micros(2));
        assert_ne!(changed.etag(), ada().etag());
        assert_eq!(changed.updated_at, Timestamp::from_micros(2));
    }
}
