//! The services' clients, with or without an access token.

use std::net::SocketAddr;

use identity_proto::{
    auth::v1::{
        auth_service_client::AuthServiceClient, session_service_client::SessionServiceClient,
    },
    user::v1::{
        permission_service_client::PermissionServiceClient,
        revision_service_client::RevisionServiceClient, role_service_client::RoleServiceClient,
        user_service_client::UserServiceClient,
    },
};
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::{health, problem::Problem};

/// A channel on which every call carries the caller's access token, when there is one.
pub type Authorized = InterceptedService<Channel, Bearer>;

/// The public listeners of a running pair.
#[derive(Clone, Debug)]
pub struct Api {
    /// Of user-service.
    pub user: Channel,
    /// Of auth-service.
    pub auth: Channel,
}

impl Api {
    /// Clients of the services at these addresses; they connect when they are first used.
    ///
    /// # Errors
    ///
    /// When an address is no URL.
    pub fn at(user: SocketAddr, auth: SocketAddr) -> Result<Self, Problem> {
        Ok(Self {
            user: health::channel(user)?,
            auth: health::channel(auth)?,
        })
    }

    /// `UserService`.
    #[must_use]
    pub fn users(&self, token: &str) -> UserServiceClient<Authorized> {
        UserServiceClient::with_interceptor(self.user.clone(), Bearer::new(token))
    }

    /// `RoleService`.
    #[must_use]
    pub fn roles(&self, token: &str) -> RoleServiceClient<Authorized> {
        RoleServiceClient::with_interceptor(self.user.clone(), Bearer::new(token))
    }

    /// `PermissionService`.
    #[must_use]
    pub fn permissions(&self, token: &str) -> PermissionServiceClient<Authorized> {
        PermissionServiceClient::with_interceptor(self.user.clone(), Bearer::new(token))
    }

    /// `RevisionService`.
    #[must_use]
    pub fn revisions(&self, token: &str) -> RevisionServiceClient<Authorized> {
        RevisionServiceClient::with_interceptor(self.user.clone(), Bearer::new(token))
    }

    /// `AuthService`; an empty token sends none.
    #[must_use]
    pub fn auth(&self, token: &str) -> AuthServiceClient<Authorized> {
        AuthServiceClient::with_interceptor(self.auth.clone(), Bearer::new(token))
    }

    /// `SessionService`.
    #[must_use]
    pub fn sessions(&self, token: &str) -> SessionServiceClient<Authorized> {
        SessionServiceClient::with_interceptor(self.auth.clone(), Bearer::new(token))
    }
}

/// Adds the caller's access token to every call.
#[derive(Clone)]
pub struct Bearer(Option<AsciiMetadataValue>);

impl Bearer {
    /// Sends this token; an empty one, or one that no header can hold, sends none.
    #[must_use]
    pub fn new(token: &str) -> Self {
        let value = (!token.is_empty()).then(|| format!("Bearer {token}"));
        Self(value.and_then(|value| value.parse().ok()))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}
