//! An auth-service that says of a token what a test tells it to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use identity_proto::auth::v1::{
    ContinueLoginRequest, ContinueLoginResponse, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse, RefreshTokenRequest, RefreshTokenResponse, ValidateTokenRequest,
    ValidateTokenResponse,
    auth_service_server::{AuthService, AuthServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    channel::{ChannelConfig, IdentityChannel},
    clock::SharedClock,
};

/// Answers about tokens as told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) answer: Mutex<Option<Result<ValidateTokenResponse, Status>>>,
    pub(crate) asked: AtomicUsize,
}

#[tonic::async_trait]
impl AuthService for Told {
    async fn login(&self, _: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn continue_login(
        &self,
        _: Request<ContinueLoginRequest>,
    ) -> Result<Response<ContinueLoginResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn refresh_token(
        &self,
        _: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn validate_token(
        &self,
        request: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(!request.get_ref().access_token.is_empty());
        let answer = self.answer.lock().expect("lock").take();
        answer.expect("told").map(Response::new)
    }
}

/// A channel to a server that answers as told.
pub(crate) async fn channel(told: Arc<Told>, clock: SharedClock) -> IdentityChannel {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(
        Server::builder()
            .add_service(AuthServiceServer::from_arc(told))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let config = ChannelConfig {
        url: format!("http://{address}"),
        ca_file: None,
        cert_file: None,
        key_file: None,
        expected_san: None,
        service_key_file: None,
        connect_timeout: Duration::from_secs(5),
        call_timeout: Duration::from_secs(5),
    };
    IdentityChannel::new(config, clock).expect("channel")
}

/// A good token's answer.
pub(crate) fn good(user_id: &str, session_id: &str) -> ValidateTokenResponse {
    ValidateTokenResponse {
        user_id: user_id.to_owned(),
        session_id: session_id.to_owned(),
        ..ValidateTokenResponse::default()
    }
}
