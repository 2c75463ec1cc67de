//! identity.auth.v1.AuthService.

mod continue_login;
mod login;
mod logout;
mod refresh_token;
mod validate_token;

use std::sync::Arc;

use identity_proto::auth::v1::{
    ContinueLoginRequest, ContinueLoginResponse, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse, RefreshTokenRequest, RefreshTokenResponse, ValidateTokenRequest,
    ValidateTokenResponse, auth_service_server::AuthService,
};
use tonic::{Request, Response, Status};

use crate::authority::Authority;

/// Login and the life of tokens.
#[derive(Clone)]
pub struct AuthGrpc(Arc<Authority>);

impl AuthGrpc {
    /// On the shared parts.
    #[must_use]
    pub fn new(authority: Arc<Authority>) -> Self {
        Self(authority)
    }
}

#[tonic::async_trait]
impl AuthService for AuthGrpc {
    async fn login(
        &self,
        request: Request<LoginRequest>,
    ) -> Result<Response<LoginResponse>, Status> {
        Ok(Response::new(login::login(&self.0, request).await?))
    }

    async fn continue_login(
        &self,
        request: Request<ContinueLoginRequest>,
    ) -> Result<Response<ContinueLoginResponse>, Status> {
        let answer = continue_login::continue_login(&self.0, request).await?;
        Ok(Response::new(answer))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let answer = refresh_token::refresh_token(&self.0, request).await?;
        Ok(Response::new(answer))
    }

    async fn logout(
        &self,
        request: Request<LogoutRequest>,
    ) -> Result<Response<LogoutResponse>, Status> {
        Ok(Response::new(logout::logout(&self.0, &request).await?))
    }

    async fn validate_token(
        &self,
        request: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenResponse>, Status> {
        let answer = validate_token::validate_token(&self.0, request).await?;
        Ok(Response::new(answer))
    }
}
