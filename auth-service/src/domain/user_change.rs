//! What user-service tells of its users that ends something here.

use super::id::{SessionId, UserId};

/// A change of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChange {
    /// The user may not use the system any more: everything that began before ends.
    Unusable(UserId),
    /// The user is gone for good, and with the user everything that is held here.
    Deleted(UserId),
    /// The user has another password: everything that began before ends but for the spared session.
    PasswordChanged {
        /// The user.
        user_id: UserId,
        /// The session in which it was changed.
        spared: Option<SessionId>,
    },
    /// Nothing ends by it.
    Nothing,
}
