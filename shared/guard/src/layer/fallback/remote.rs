//! Asking auth-service about a token.

use std::sync::Arc;

use identity_proto::auth::v1::{ValidateTokenRequest, auth_service_client::AuthServiceClient};
use tonic::Status;

use super::{super::refused, TokenFallback, unavailable};
use crate::{
    channel::IdentityChannel,
    engine::{AccessState, Refusal, VerifiedToken},
    status::{ErrorReason, Failure, reason_of},
};

/// Asks auth-service with `ValidateToken`. Signature and claims are verified here, with the keys that are known;
/// the answer says only whether the token still counts.
pub struct RemoteFallback {
    client: AuthServiceClient<IdentityChannel>,
    state: Arc<AccessState>,
}

impl RemoteFallback {
    /// Asks over a channel to auth-service.
    #[must_use]
    pub fn new(channel: IdentityChannel, state: Arc<AccessState>) -> Self {
        Self {
            client: AuthServiceClient::new(channel),
            state,
        }
    }
}

#[tonic::async_trait]
impl TokenFallback for RemoteFallback {
    async fn validate(&self, token: &str) -> Result<Arc<VerifiedToken>, Failure> {
        let verified = self.state.verify_signature_only(token).map_err(refused)?;
        let request = ValidateTokenRequest {
            access_token: token.to_owned(),
            min_revision: String::new(),
        };
        let answer = self
            .client
            .clone()
            .validate_token(request)
            .await
            .map_err(|status| failure(&status))?
            .into_inner();
        let claims = verified.claims();
        if answer.user_id != claims.sub || answer.session_id != claims.sid {
            tracing::error!("auth-service answered about another token");
            return Err(unavailable());
        }
        Ok(verified)
    }
}

/// A refusal of the token stays what it is; anything else means that nobody knows.
fn failure(status: &Status) -> Failure {
    match reason_of(status) {
        Some(ErrorReason::TokenInvalid | ErrorReason::TokenMissing) => refused(Refusal::Invalid),
        Some(ErrorReason::TokenExpired) => refused(Refusal::Expired),
        Some(ErrorReason::TokenRevoked) => refused(Refusal::Revoked),
        _ => {
            tracing::debug!(code = ?status.code(), "auth-service could not be asked about a token");
            unavailable()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use identity_proto::auth::v1::{
        ContinueLoginRequest, ContinueLoginResponse, LoginRequest, LoginResponse, LogoutRequest,
        LogoutResponse, RefreshTokenRequest, RefreshTokenResponse, ValidateTokenResponse,
        auth_service_server::{AuthService, AuthServiceServer},
    };
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, transport::Server};

    use super::*;
    use crate::{
        channel::ChannelConfig,
        clock::{ManualClock, SharedClock},
        engine::{
            KeyChange, Snapshot,
            testing::{Issuer, claims, config, now},
        },
    };

    /// Answers about tokens as told.
    #[derive(Default)]
    struct Told {
        answer: Mutex<Option<Result<ValidateTokenResponse, Status>>>,
        asked: AtomicUsize,
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

        async fn logout(
            &self,
            _: Request<LogoutRequest>,
        ) -> Result<Response<LogoutResponse>, Status> {
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

    async fn channel(told: Arc<Told>, clock: SharedClock) -> IdentityChannel {
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

    fn good(user_id: &str, session_id: &str) -> ValidateTokenResponse {
        ValidateTokenResponse {
            user_id: user_id.to_owned(),
            session_id: session_id.to_owned(),
            ..ValidateTokenResponse::default()
        }
    }

    #[tokio::test]
    async fn the_server_says_yes_or_no_and_the_token_says_who() {
        let clock = Arc::new(ManualClock::new(now()));
        let state = Arc::new(AccessState::new(config(), clock.clone(), Duration::ZERO));
        let told = Arc::new(Told::default());
        let channel = channel(told.clone(), clock).await;
        let fallback = RemoteFallback::new(channel, state.clone());
        let issuer = Issuer::es256("k1");
        let token = issuer.token(&claims());

        // Without its key a token cannot be read, and nobody is asked.
        let refused = fallback.validate(&token).await.expect_err("no key");
        assert_eq!(refused.reason(), ErrorReason::DependencyUnavailable);
        state.apply_snapshot(Snapshot {
            keys: vec![KeyChange::Valid(Arc::new(issuer.key()))],
            ..Snapshot::default()
        });
        let refused = fallback.validate("garbage").await.expect_err("no token");
        assert_eq!(refused.reason(), ErrorReason::TokenInvalid);
        assert_eq!(told.asked.load(Ordering::SeqCst), 0);

        let status = |reason| Err(Failure::new(reason, "").into());
        let unavailable = Err(ErrorReason::DependencyUnavailable);
        for (answer, expected) in [
            (Ok(good("u1", "s1")), Ok("u1".to_owned())),
            (Ok(good("u2", "s1")), unavailable.clone()),
            (Ok(good("u1", "s2")), unavailable.clone()),
            (
                status(ErrorReason::TokenRevoked),
                Err(ErrorReason::TokenRevoked),
            ),
            (
                status(ErrorReason::TokenExpired),
                Err(ErrorReason::TokenExpired),
            ),
            (
                status(ErrorReason::TokenInvalid),
                Err(ErrorReason::TokenInvalid),
            ),
            (status(ErrorReason::PermissionRequired), unavailable.clone()),
            (Err(Status::internal("")), unavailable.clone()),
        ] {
            *told.answer.lock().expect("lock") = Some(answer);
            let decided = fallback.validate(&token).await;
            let decided = decided
                .map(|token| token.claims().sub.clone())
                .map_err(|failure| failure.reason());
            assert_eq!(decided, expected);
        }
    }
}
