//! Who calls: what the guard puts into a request's extensions before the handler sees it.

use std::sync::Arc;

use crate::{engine::VerifiedToken, rights::Rights};

/// Who calls.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody in particular: the method is public, or exempt.
    Anonymous,
    /// A user with a good access token.
    User(UserCaller),
    /// Another service with a known identity.
    Service(ServiceCaller),
}

/// A user with a good access token.
#[derive(Debug, Clone)]
pub struct UserCaller {
    /// The token's `sub`.
    pub user_id: String,
    /// The token's `sid`.
    pub session_id: String,
    /// The program that the user logged in with: the token's `client_id`.
    pub client_id: String,
    /// The verified token.
    pub token: Arc<VerifiedToken>,
    /// Whether the request names the caller; only ever true under a self-or-permission rule.
    pub is_self: bool,
    /// What the user may do now; present when the rule made the guard read it.
    pub rights: Option<Arc<Rights>>,
}

impl UserCaller {
    /// Whether the caller holds a permission, by the rights that the guard read; false where the rule read none.
    #[must_use]
    pub fn holds(&self, permission: &str) -> bool {
        self.rights
            .as_ref()
            .is_some_and(|rights| rights.holds(permission))
    }
}

/// Another service with a known identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCaller {
    /// Its name in the configuration of this service.
    pub name: String,
}

/// Who calls; anonymous where no guard stands in front of the handler.
#[must_use]
pub fn caller<T>(request: &tonic::Request<T>) -> &Caller {
    request.extensions().get().unwrap_or(&Caller::Anonymous)
}
