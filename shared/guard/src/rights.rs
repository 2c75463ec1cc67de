//! What a user may do now: the port through which the guard asks.

use std::{collections::HashSet, sync::Arc};

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

/// Where the guard reads rights: the own database in user-service, a call to it elsewhere.
#[tonic::async_trait]
pub trait RightsSource: Send + Sync + 'static {
    /// The rights of the token's user now. An unknown user has `active: false`.
    ///
    /// # Errors
    /// UNAVAILABLE / `DEPENDENCY_UNAVAILABLE` when they cannot be read; never old rights instead.
    async fn rights(&self, token: &VerifiedToken) -> Result<Arc<Rights>, Failure>;
}
