//! What a user may do now: the port through which the guard asks.

mod remote;

use std::{collections::HashSet, sync::Arc};

pub use remote::RemoteRights;

use crate::{engine::VerifiedToken, status::Failure};

/// What a user may do at the moment of asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Whether the account may be used at all. An unknown user is not active.
    pub active: bool,
    /// The names of everything the user holds, by role or directly.
    pub permissions: HashSet<String>,
}

impl Rights {
    /// Whether an active user holds a permission. An inactive user holds nothing.
    #[must_use]
    pub fn holds(&self, permission: &str) -> bool {
        self.active && self.permissions.contains(permission)
    }
}

/// Where the guard reads rights: the own database in user-service, a call elsewhere, such as [`RemoteRights`].
///
/// It is asked once for each call whose rule names a permission, and for no other.
#[tonic::async_trait]
pub trait RightsSource: Send + Sync + 'static {
    /// The rights of the token's user now. An unknown user has `active: false`.
    ///
    /// `text` is the token as the call brought it, for a source that must show it to somebody. It is a secret: a
    /// verified token does not keep it, and neither must the source.
    ///
    /// # Errors
    /// UNAVAILABLE / `DEPENDENCY_UNAVAILABLE` when they cannot be read; never old rights instead. A refusal of the
    /// token itself is passed on.
    async fn rights(&self, token: &VerifiedToken, text: &str) -> Result<Arc<Rights>, Failure>;
}
