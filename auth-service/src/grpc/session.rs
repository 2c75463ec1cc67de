//! identity.auth.v1.SessionService.

mod list_sessions;
mod revoke_all_sessions;
mod revoke_session;

use std::sync::Arc;

use identity_proto::auth::v1::{
    ListSessionsRequest, ListSessionsResponse, RevokeAllSessionsRequest, RevokeAllSessionsResponse,
    RevokeSessionRequest, RevokeSessionResponse, session_service_server::SessionService,
};
use tonic::{Request, Response, Status};

use crate::authority::Authority;

/// Where users are logged in.
#[derive(Clone)]
pub struct SessionGrpc(Arc<Authority>);

impl SessionGrpc {
    /// On the shared parts.
    #[must_use]
    pub fn new(authority: Arc<Authority>) -> Self {
        Self(authority)
    }
}

#[tonic::async_trait]
impl SessionService for SessionGrpc {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let answer = list_sessions::list_sessions(&self.0, &request).await?;
        Ok(Response::new(answer))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let answer = revoke_session::revoke_session(&self.0, &request).await?;
        Ok(Response::new(answer))
    }

    async fn revoke_all_sessions(
        &self,
        request: Request<RevokeAllSessionsRequest>,
    ) -> Result<Response<RevokeAllSessionsResponse>, Status> {
        let answer = revoke_all_sessions::revoke_all_sessions(&self.0, &request).await?;
        Ok(Response::new(answer))
    }
}
