//! What the access feed says, in the engine's own words.

use std::sync::Arc;

use super::key::VerifyingKey;
use crate::{clock::Timestamp, position::Position};

/// A session ended before its tokens did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRevocation {
    /// The `sid` of its tokens.
    pub session_id: String,
    /// When the last of its tokens ends by itself.
    pub retain_until: Timestamp,
}

/// All of a user's credentials ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRevocation {
    /// The `sub` of the tokens.
    pub user_id: String,
    /// Tokens of an older generation are refused.
    pub generation: u64,
    /// When the last of those tokens ends by itself.
    pub retain_until: Timestamp,
}

/// A key is new or in another state.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// It verifies: published, active or retired.
    Valid(Arc<VerifyingKey>),
    /// What it signed is refused from now on.
    Withdrawn {
        /// The `kid` of its tokens.
        kid: String,
    },
}

/// One change of the access feed.
#[derive(Clone, Debug)]
pub enum AccessChange {
    /// A session ended.
    Session(SessionRevocation),
    /// A user's credentials ended.
    Subject(SubjectRevocation),
    /// A key changed.
    Key(KeyChange),
}

/// Everything that the access feed knows at a position.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The whole key set, withdrawals included.
    pub keys: Vec<KeyChange>,
    /// Sessions that ended before their tokens did.
    pub sessions: Vec<SessionRevocation>,
    /// Users whose credentials ended.
    pub subjects: Vec<SubjectRevocation>,
    /// Where the changes go on from.
    pub position: Position,
}
