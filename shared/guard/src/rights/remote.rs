//! Rights asked of auth-service, for a backend that knows nothing of its users itself.

use std::sync::Arc;

use identity_proto::auth::v1::auth_service_client::AuthServiceClient;

use super::{Rights, RightsSource};
use crate::{channel::IdentityChannel, engine::VerifiedToken, status::Failure, validate::validate};

/// Asks auth-service with `ValidateToken` what the token's user may do now.
///
/// Nothing is kept: a permission that was taken away counts at the next call. The price is one call to auth-service,
/// which itself asks user-service, before each call whose rule names a permission (permission and
/// self-or-permission). Calls with other rules are decided locally, and go on while auth-service is away for as long
/// as what is known is fresh; these are refused with UNAVAILABLE then.
pub struct RemoteRights {
    client: AuthServiceClient<IdentityChannel>,
}

impl RemoteRights {
    /// Asks over a channel to auth-service, within the channel's `call_timeout`.
    #[must_use]
    pub fn new(channel: IdentityChannel) -> Self {
        Self {
            client: AuthServiceClient::new(channel),
        }
    }
}

#[tonic::async_trait]
impl RightsSource for RemoteRights {
    async fn rights(&self, token: &VerifiedToken, text: &str) -> Result<Arc<Rights>, Failure> {
        let answer = validate(&self.client, token, text).await?;
        Ok(Arc::new(Rights {
            // The token of a user who may not act is refused, not answered.
            active: true,
            permissions: answer.permissions.into_iter().collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::atomic::Ordering};

    use identity_proto::auth::v1::ValidateTokenResponse;
    use tonic::Status;

    use super::*;
    use crate::{
        clock::ManualClock,
        engine::testing::{Issuer, claims, now},
        status::ErrorReason,
        validate::testing::{Told, channel, good},
    };

    #[tokio::test]
    async fn rights_are_what_the_server_says_each_time() {
        let told = Arc::new(Told::default());
        let channel = channel(told.clone(), Arc::new(ManualClock::new(now()))).await;
        let remote = RemoteRights::new(channel);
        let issuer = Issuer::es256("k1");
        let (text, token) = (issuer.token(&claims()), issuer.verified(&claims()));

        let holding = |permissions: &[&str]| ValidateTokenResponse {
            permissions: permissions.iter().map(ToString::to_string).collect(),
            ..good("u1", "s1")
        };
        let names = |permissions: &[&str]| -> HashSet<String> {
            permissions.iter().map(ToString::to_string).collect()
        };
        let status = |reason| Err(Failure::new(reason, "").into());
        let unavailable = Err(ErrorReason::DependencyUnavailable);
        for (asked, (answer, expected)) in [
            (Ok(holding(&["a", "b"])), Ok(names(&["a", "b"]))),
            (Ok(holding(&["a"])), Ok(names(&["a"]))),
            (Ok(holding(&[])), Ok(names(&[]))),
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
            (status(ErrorReason::PermissionRequired), unavailable.clone()),
            (Err(Status::internal("")), unavailable.clone()),
        ]
        .into_iter()
        .enumerate()
        {
            *told.answer.lock().expect("lock") = Some(answer);
            let rights = remote.rights(&token, &text).await;
            let permissions = rights
                .map(|rights| {
                    assert!(rights.active);
                    rights.permissions.clone()
                })
                .map_err(|failure| failure.reason());
            assert_eq!(permissions, expected);
            assert_eq!(told.asked.load(Ordering::SeqCst), asked + 1);
        }
    }
}
