//! What is told of people to those who take it away: everything that is held, and no hash.

use identity_guard::clock::Timestamp;
use identity_kit::position::Position;

use super::{
    email::Email,
    import::{ExternalId, SourceName},
    name::{PermissionName, RoleName, TypeName},
    subscription::Subscription,
    user::User,
};

/// A user with everything that was given to them, by name.
#[derive(Clone, Debug)]
pub struct ExportedUser {
    /// The profile.
    pub user: User,
    /// The type.
    pub user_type: TypeName,
    /// The roles, sorted.
    pub roles: Vec<RoleName>,
    /// The permissions given directly, sorted.
    pub direct: Vec<PermissionName>,
}

/// Everything that is held about one person.
#[derive(Clone, Debug)]
pub struct PersonalData {
    /// The profile.
    pub user: User,
    /// The type.
    pub user_type: TypeName,
    /// The roles by name.
    pub roles: Vec<Given<RoleName>>,
    /// The permissions given directly, by name.
    pub direct: Vec<Given<PermissionName>>,
    /// Whether a password is set.
    pub has_password: bool,
    /// Whether somebody else chose the password.
    pub change_required: bool,
    /// When the password was last set or hashed anew.
    pub password_updated_at: Timestamp,
    /// Where the user was imported from.
    pub imports: Vec<Import>,
    /// The subscription.
    pub subscription: Option<Subscription>,
    /// A new address that waits to be proven.
    pub waiting_email: Option<Email>,
    /// How many of the user's requests are remembered.
    pub remembered_requests: u64,
    /// Where the feed stood when the profile was read; everything else is at least as new.
    pub position: Position,
}

/// Something that was given to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<T> {
    /// What.
    pub name: T,
    /// When.
    pub given_at: Timestamp,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
}

/// One import of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The source.
    pub source: SourceName,
    /// What the source calls the user.
    pub external_id: ExternalId,
    /// When it happened.
    pub imported_at: Timestamp,
}
