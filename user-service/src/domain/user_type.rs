//! Types of users, such as employee or machine.

use identity_guard::clock::Timestamp;

use super::{etag::Etag, id::UserTypeId, name::TypeName, text::Description};

/// A type of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserType {
    /// Never used again.
    pub id: UserTypeId,
    /// Unique.
    pub name: TypeName,
    /// What it is for.
    pub description: Description,
    /// Whether it is the default type, which cannot be renamed or deleted.
    pub built_in: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its name or description last changed.
    pub updated_at: Timestamp,
    /// Grows with every change of name or description.
    pub version: i64,
}

impl UserType {
    /// The etag of this state.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of(self.id.as_str(), self.version)
    }
}

/// One to be created.
#[derive(Clone, Debug)]
pub struct NewUserType {
    /// A fresh id.
    pub id: UserTypeId,
    /// A name that nobody has.
    pub name: TypeName,
    /// What it is for.
    pub description: Description,
}

/// The parts to change; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserTypeChange {
    /// A new name.
    pub name: Option<TypeName>,
    /// A new description.
    pub description: Option<Description>,
}

impl UserTypeChange {
    /// Whether nothing is to change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.description.is_none()
    }
}
