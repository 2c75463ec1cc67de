//! Permissions: what can be done.

use identity_guard::clock::Timestamp;

use super::{etag::Etag, id::PermissionId, name::PermissionName, text::Description};

/// What can be done.:Permissions: what can be done.:Whether a rule of the contract names it, so that it cannot be renamed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Never used again.
    pub id: PermissionId,
    /// Unique.
    pub name: PermissionName,
    /// What it is for.
    pub description: Description,
    /// Whether a rule of the contract names it, so that it cannot be renamed or deleted.
    pub built_in: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its name or description last changed.
    pub updated_at: Timestamp,
    /// Grows with every change of name or description.
    pub version: i64,
}

impl Permission {
    /// The etag of this state.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of(self.id.as_str(), self.version)
    }
}

/// One to be created.
#[derive(Clone, Debug)]
pub struct NewPermission {
    /// A fresh id.
    pub id: PermissionId,
    /// A name that nobody has.
    pub name: PermissionName,
    /// What it is for.
    pub description: Description,
}

/// The parts to change; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionChange {
    /// A new name.
    pub name: Option<PermissionName>,
    /// A new description.
    pub description: Option<Description>,
}

impl PermissionChange {
    /// Whether nothing is to change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.description.is_none()
    }
}
