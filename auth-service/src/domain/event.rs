//! What the access feed tells: the ends of credentials, and changes of keys.

use identity_guard::clock::Timestamp;

use super::id::{SessionId, UserId};

/// A session that ended before its tokens did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRevoked {
    /// The session.
    pub session_id: SessionId,
    /// Its user.
    pub user_id: UserId,
    /// When the last of its tokens has ended by itself, on every clock.
    pub retain_until: Timestamp,
}

/// All of a user's credentials ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectRevoked {
    /// The user.
    pub user_id: UserId,
    /// Tokens of an older generation are refused.
    pub generation: u64,
    /// When the last of those tokens has ended by itself, on every clock.
    pub retain_until: Timestamp,
}

/// One change of who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessEvent {
    /// A session ended.
    SessionRevoked(SessionRevoked),
    /// All of a user's credentials ended.
    SubjectRevoked(SubjectRevoked),
    /// A key is new or in another state.
    SigningKeyChanged {
        /// The key.
        key_id: String,
    },
}
