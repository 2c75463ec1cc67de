//! Roles: named sets of permissions.

use identity_guard::clock::Timestamp;

use super::{etag::Etag, id::RoleId, name::RoleName, text::Description};

/// A named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Never used again.
    pub id: RoleId,
    /// Unique, and never another one: tokens and rules say it.
    pub name: RoleName,
    /// What it is for.
    pub description: Description,
    /// Whether it is `admin`, which holds every permission and cannot be changed.
    pub built_in: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its description last changed.
    pub updated_at: Timestamp,
    /// Grows with every change of the description.
    pub version: i64,
}

impl Role {
    /// The etag of this state.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of(self.id.as_str(), self.version)
    }
}

/// One to be created.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// A fresh id.
    pub id: RoleId,
    /// A name that nobody has.
    pub name: RoleName,
    /// What it is for.
    pub description: Description,
}
