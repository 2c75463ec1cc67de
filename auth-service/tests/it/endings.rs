//! The ends of all credentials of a user: how long they are remembered.

use std::time::Duration;

use auth_service::store::subjects;
use identity_guard::clock::Clock as _;
use identity_proto::auth::v1::{RevokeAllSessionsRequest, RevokeAllSessionsResponse};

use crate::harness::{ADA, Service, as_user, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_remembered_for_as_long_as_a_token_of_a_longer_life_that_was_configured_before() {
    for world in worlds().await {
        let service = world.start_with(&["--access-token-seconds=3600"]).await;
        let long = service.login("ada").await;
        service.stop().await;
        let service = world.start_with(&["--access-token-seconds=10"]).await;
        let short = service.login("ada").await;
        revoke_all(&service, &short.access_token).await;

        let later = world.clock.now().plus(Duration::from_mins(50));
        let reader = service.app.authority().database.reader();
        let revoked = subjects::list_revoked(reader, later).await.unwrap();
        assert_eq!(revoked.len(), 1);
        let end = long.access_token_expire_time.unwrap().seconds;
        // In step with what the feed told, which is the leeway later on every clock.
        assert_eq!(revoked[0].retain_until.seconds(), end + 30);
        service.stop().await;
    }
}

async fn revoke_all(service: &Service, token: &str) -> RevokeAllSessionsResponse {
    let request = RevokeAllSessionsRequest {
        user_id: ADA.to_owned(),
        keep_current: false,
    };
    let mut sessions = service.sessions.clone();
    let answer = sessions.revoke_all_sessions(as_user(token, request)).await;
    answer.unwrap().into_inner()
}
