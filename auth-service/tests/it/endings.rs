//! The ends of all credentials of a user: what brings them, and how long they are remembered.

use std::{sync::atomic::Ordering, time::Duration};

use auth_service::{
    authority::AuthError,
    domain::{account::AccountStatus, id::UserId, policy::SessionPolicy},
    store::{
        mint::{self, MintError},
        sessions, subjects,
    },
};
use identity_guard::{clock::Clock as _, status::ErrorReason};
use identity_kit::outbox;
use identity_proto::auth::v1::{RevokeAllSessionsRequest, RevokeAllSessionsResponse};
use tonic::Code;

use crate::{
    control::rounds,
    harness::{ADA, BOB, PASSWORD, Service, as_user, eventually, refused, worlds},
    mint::new_session,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn logins_to_a_suspended_account_end_what_it_has_and_then_nothing_more() {
    for world in worlds().await {
        let service = world.start_with(&["--session-idle-seconds=60"]).await;
        let suspended = async || {
            for _ in 0..3 {
                let answer = service.try_login("ada", PASSWORD).await;
                let reason = ErrorReason::AccountSuspended;
                refused(answer, Code::PermissionDenied, reason);
            }
        };
        let status = |status| world.directory.change(ADA, |ada| ada.status = status);

        // Nothing was ever begun.
        status(AccountStatus::Suspended);
        suspended().await;
        assert_eq!(told(&service).await, 0);

        // A session.
        status(AccountStatus::Active);
        let tokens = service.login("ada").await;
        status(AccountStatus::Suspended);
        suspended().await;
        assert_eq!(told(&service).await, 1);
        let validated = service.validate(&tokens.access_token).await;
        refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);

        // An open challenge, which is not open for ever.
        for (age, expected) in [(0, 2), (600, 2)] {
            status(AccountStatus::Active);
            world
                .directory
                .change(ADA, |ada| ada.change_required = true);
            service.try_login("ada", PASSWORD).await.unwrap();
            world.clock.advance(Duration::from_secs(age));
            status(AccountStatus::Suspended);
            suspended().await;
            assert_eq!(told(&service).await, expected);
        }
        world
            .directory
            .change(ADA, |ada| ada.change_required = false);

        // A token of a session that is over, as long as a clock that is behind takes it.
        for (age, expected) in [(89, 3), (90, 3)] {
            status(AccountStatus::Active);
            service.login("ada").await;
            world.clock.advance(Duration::from_secs(age));
            status(AccountStatus::Suspended);
            suspended().await;
            assert_eq!(told(&service).await, expected);
        }
        status(AccountStatus::Active);
        let tokens = service.login("ada").await;
        let answer = service.validate(&tokens.access_token).await.unwrap();
        assert_eq!(answer.generation, 4);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_ended_once_however_many_ask() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = [service.login("ada").await, service.login("ada").await];
        world.directory.remove(ADA);
        for tokens in &tokens {
            let validated = service.validate(&tokens.access_token).await;
            refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
            let refreshed = service.refresh(&tokens.refresh_token).await;
            let reason = ErrorReason::RefreshTokenInvalid;
            refused(refreshed, Code::Unauthenticated, reason);
        }
        let ada = UserId::trusted(ADA);
        for _ in 0..2 {
            let access = service.app.authority().usable_access(&ada).await;
            assert!(access.unwrap().is_none());
        }
        assert_eq!(told(&service).await, 1);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_the_end_of_all_sessions_gets_it_with_and_without_any() {
    for world in worlds().await {
        world.directory.change(BOB, |bob| {
            bob.permissions = vec!["sessions.revoke".to_owned()];
        });
        let service = world.start().await;
        service.login("ada").await;
        let bob = service.login("bob").await;
        let first = revoke_all(&service, &bob.access_token).await;
        assert_eq!(
            (first.sessions_revoked, first.refresh_tokens_revoked),
            (1, 1)
        );
        let again = revoke_all(&service, &bob.access_token).await;
        assert_eq!(
            (again.sessions_revoked, again.refresh_tokens_revoked),
            (0, 0)
        );
        assert_eq!(told(&service).await, 2);
        let tokens = service.login("ada").await;
        let answer = service.validate(&tokens.access_token).await.unwrap();
        assert_eq!(answer.generation, 3);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_overlaps_a_suspension_leaves_no_session_behind_its_end() {
    for world in worlds().await {
        let service = world
            .start_with(&["--login-attempts=1000", "--login-attempts-per-network=1000"])
            .await;
        for round in 0..rounds() {
            world
                .directory
                .change(ADA, |ada| ada.status = AccountStatus::Active);
            let logins =
                futures_util::future::join_all((0..8).map(|_| service.try_login("ada", PASSWORD)));
            let reads = || world.directory.reads.load(Ordering::SeqCst);
            let (before, ada) = (reads(), UserId::trusted(ADA));
            let suspension = async {
                // Some logins have read that the account is active, and are not done.
                eventually("a login is under way", async || reads() > before + 2).await;
                world
                    .directory
                    .change(ADA, |ada| ada.status = AccountStatus::Suspended);
                let access = service.app.authority().usable_access(&ada).await;
                assert!(matches!(access, Err(AuthError::Unusable(_))));
            };
            tokio::join!(logins, suspension);
            let (reader, now) = (service.app.authority().database.reader(), world.clock.now());
            let live = sessions::list_live(reader, &ada, None, 10, now).await;
            assert_eq!(live.unwrap().len(), 0, "round {round}");
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_from_before_a_known_suspension_begin_no_session() {
    for world in worlds().await {
        let service = world.start().await;
        let before = world.directory.position();
        world
            .directory
            .change(ADA, |ada| ada.status = AccountStatus::Suspended);
        service.try_login("ada", PASSWORD).await.unwrap_err();
        let (policy, now) = (SessionPolicy::default(), world.clock.now());
        let new = new_session(ADA, before, None, now);
        let database = &service.app.authority().database;
        let begun = mint::begin(database, &new, &policy).await;
        assert!(matches!(begun, Err(MintError::RightsOutdated)));
        service.stop().await;
    }
}

/// How many ends the feed has told of.
async fn told(service: &Service) -> u64 {
    let reader = service.app.authority().database.reader();
    // The first was the making of the signing key.
    outbox::head(reader).await.unwrap().0.revision - 1
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
