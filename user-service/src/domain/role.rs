//! Roles: named sets of permissions.

use identity_guard::clock::Timestamp;

use super::{etag::Etag, id::RoleId, name::RoleName, text::Description};

/// A named set of permissions.:Roles: named sets of permissions.:Whether it is `admin`, which holds every permission and cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Never used again.
    pub id: RoleId,
    /// Unique.
    pub name: RoleName,
    /// What it is for.
    pub description: Description,
    /// Whether it is `admin`, which holds every permission and cannot be changed.
    pub built_in: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its name or description last changed.
    pub updated_at: Timestamp,
    /// Grows with every change of name or description.
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

/// The parts to change; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// A new name.
    pub name: Option<RoleName>,
    /// A new description.
    pub description: Option<Description>,
}

impl RoleChange {
    /// Whether nothing is to change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.description.is_none()
    }
}
