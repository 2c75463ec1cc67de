//! Asking auth-service about a token.

use std::sync::Arc;

use identity_proto::auth::v1::auth_service_client::AuthServiceClient;

use super::{super::refused, TokenFallback};
use crate::{
    channel::IdentityChannel,
    engine::{AccessState, VerifiedToken},
    status::Failure,
    validate::validate,
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
        validate(&self.client, &verified, token).await?;
        Ok(verified)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::Ordering, time::Duration};

    use tonic::Status;

    use super::*;
    use crate::{
        clock::ManualClock,
        engine::{
            KeyChange, Snapshot,
            testing::{Issuer, claims, config, now},
        },
        status::ErrorReason,
        validate::testing::{Told, channel, good},
    };

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
