//! Permissions: what can be done.

use identity_guard::clock::Timestamp;

use super::{etag::Etag, id::PermissionId, name::PermissionName, text::Description};

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Never used again.
    pub id: PermissionId,
    /// Unique, and never another one: tokens and rules say it.
    pub name: PermissionName,
    /// What it is for.
    pub description: Description,
    /// Whether a rule of the contract names it, so that it cannot be deleted.
    pub built_in: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its description last changed.
    pub updated_at: Timestamp,
    /// Grows with every change of the description.
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
