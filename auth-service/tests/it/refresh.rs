//! Refresh tokens: used once, given again for a lost answer, and the end of a family.

use std::{collections::HashSet, time::Duration};

use auth_service::domain::account::AccountStatus;
use identity_guard::status::{ErrorReason, reason_of};
use identity_proto::auth::v1::{RefreshTokenRequest, TokenSet};
use tonic::{Code, Status};

use crate::{
    control::rounds,
    harness::{ADA, Service, refused, worlds},
};

const WINDOW: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_gives_new_tokens_of_the_same_session() {
    for world in worlds().await {
        let service = world.start().await;
        let first = service.login("ada").await;
        world
            .directory
            .change(ADA, |ada| ada.roles = vec!["admin".to_owned()]);
        let second = service.refresh(&first.refresh_token).await.unwrap();
        assert_eq!(second.session_id, first.session_id);
        assert_ne!(second.refresh_token, first.refresh_token);
        let answer = service.validate(&second.access_token).await.unwrap();
        assert_eq!(answer.roles, ["admin"]);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_refreshes_never_make_two_successors() {
    for world in worlds().await {
        let service = world.start().await;
        for round in 0..rounds() {
            let tokens = service.login("ada").await;
            let answers = futures_util::future::join_all(
                (0..50).map(|_| service.refresh(&tokens.refresh_token)),
            )
            .await;
            assert_one_successor(answers, round);
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_given_again_with_the_same_successor() {
    for world in worlds().await {
        let service = world.start().await;
        let first = service.login("ada").await;
        let second = service.refresh(&first.refresh_token).await.unwrap();
        for _ in 0..3 {
            let again = service.refresh(&first.refresh_token).await.unwrap();
            assert_eq!(again.refresh_token, second.refresh_token);
            assert_eq!(again.session_id, second.session_id);
            service.validate(&again.access_token).await.unwrap();
        }
        assert_family_ended(&service, &first.refresh_token, &second.refresh_token).await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reused_refresh_token_revokes_the_whole_family() {
    for world in worlds().await {
        let service = world.start().await;
        let first = service.login("ada").await;
        let second = service.refresh(&first.refresh_token).await.unwrap();
        world.clock.advance(WINDOW);
        let reused =
            assert_family_ended(&service, &first.refresh_token, &second.refresh_token).await;
        let validated = service.validate(&second.access_token).await;
        refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);

        let unknown = format!("idr_{}_{}", "a".repeat(24), "A".repeat(43));
        let unknown = service.refresh(&unknown).await.unwrap_err();
        assert_eq!(unknown.message(), reused.message());
        assert_eq!(unknown.details(), reused.details());
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_successor_closes_the_window() {
    for world in worlds().await {
        let service = world.start().await;
        let first = service.login("ada").await;
        let second = service.refresh(&first.refresh_token).await.unwrap();
        let third = service.refresh(&second.refresh_token).await.unwrap();
        assert_family_ended(&service, &first.refresh_token, &third.refresh_token).await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_needs_the_request_id_of_the_first_call() {
    for world in worlds().await {
        let service = world.start().await;
        let first = service.login("ada").await;
        let second = service
            .refresh_with(&first.refresh_token, "r1")
            .await
            .unwrap();
        let again = service
            .refresh_with(&first.refresh_token, "r1")
            .await
            .unwrap();
        assert_eq!(again.refresh_token, second.refresh_token);
        let other = service.refresh_with(&first.refresh_token, "r2").await;
        refused(
            other,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        let ended = service.refresh(&second.refresh_token).await;
        refused(
            ended,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_and_another_client_end_nothing() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = service.login("ada").await;
        let id = tokens.refresh_token.split('_').nth(1).unwrap();
        let forged = format!("idr_{id}_{}", "A".repeat(43));
        let answer = service.refresh(&forged).await;
        refused(
            answer,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        let request = RefreshTokenRequest {
            refresh_token: tokens.refresh_token.clone(),
            client_id: "other".to_owned(),
            ..RefreshTokenRequest::default()
        };
        let answer = service.auth.clone().refresh_token(request).await;
        refused(
            answer,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        service.refresh(&tokens.refresh_token).await.unwrap();
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_a_suspended_user_is_refused_and_ends_the_session_for_good() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = service.login("ada").await;
        world
            .directory
            .change(ADA, |ada| ada.status = AccountStatus::Suspended);
        let answer = service.refresh(&tokens.refresh_token).await;
        refused(
            answer,
            Code::PermissionDenied,
            ErrorReason::AccountSuspended,
        );
        let validated = service.validate(&tokens.access_token).await;
        refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
        world
            .directory
            .change(ADA, |ada| ada.status = AccountStatus::Active);
        let answer = service.refresh(&tokens.refresh_token).await;
        refused(
            answer,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        service.login("ada").await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    for world in worlds().await {
        let lives = ["--session-idle-seconds=100", "--session-seconds=250"];
        let service = world.start_with(&lives).await;
        let idle = service.login("ada").await;
        let mut busy = service.login("ada").await;
        for _ in 0..2 {
            world.clock.advance(Duration::from_secs(90));
            busy = service.refresh(&busy.refresh_token).await.unwrap();
        }
        let answer = service.refresh(&idle.refresh_token).await;
        refused(
            answer,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        world.clock.advance(Duration::from_secs(70));
        let answer = service.refresh(&busy.refresh_token).await;
        refused(
            answer,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        service.stop().await;
    }
}

/// Of many uses of one token at once, one makes the successor, a few get the same one again, and all others are refused.
pub(crate) fn assert_one_successor(answers: Vec<Result<TokenSet, Status>>, round: usize) {
    let mut successors = HashSet::new();
    for answer in answers {
        match answer {
            Ok(tokens) => {
                successors.insert(tokens.refresh_token);
            }
            Err(status) => {
                // Beside the reuse, a retry whose ground kept moving may be told to come again.
                let reason = reason_of(&status);
                let expected = [ErrorReason::RefreshTokenInvalid, ErrorReason::Conflict];
                assert!(
                    reason.is_some_and(|reason| expected.contains(&reason)),
                    "round {round}: {status:?}"
                );
            }
        }
    }
    assert_eq!(successors.len(), 1, "round {round}");
}

async fn assert_family_ended(service: &Service, reused: &str, live: &str) -> Status {
    let status = service.refresh(reused).await;
    let status = refused(
        status,
        Code::Unauthenticated,
        ErrorReason::RefreshTokenInvalid,
    );
    let ended = service.refresh(live).await;
    refused(
        ended,
        Code::Unauthenticated,
        ErrorReason::RefreshTokenInvalid,
    );
    status
}
