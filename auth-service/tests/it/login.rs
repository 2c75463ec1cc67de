//! Login and its challenge.

use std::{sync::atomic::Ordering, time::Duration};

use auth_service::domain::account::{AccountStatus, PasswordHash};
use identity_guard::status::ErrorReason;
use identity_proto::auth::v1::{
    Challenge, ContinueLoginRequest, PasswordChangeAnswer, TokenSet,
    continue_login_request::Answer, continue_login_response, login_response,
};
use tonic::{Code, Status};

use crate::harness::{ADA, BOB, PASSWORD, Service, eventually, hash, refused, worlds};

const NEW_PASSWORD: &str = "copper lantern drifting sideways";

#[tokio::test(flavor = "multi_thread")]
async fn username_and_address_log_in_and_the_token_validates() {
    for world in worlds().await {
        let service = world.start().await;
        for identifier in ["ada", "ADA", "ada@example.org"] {
            let tokens = service.login(identifier).await;
            assert_eq!(tokens.user_id, ADA);
            assert!(tokens.access_token.len() <= 1024);
            let answer = service.validate(&tokens.access_token).await.unwrap();
            assert_eq!(answer.user_id, ADA);
            assert_eq!(answer.session_id, tokens.session_id);
            assert_eq!(answer.client_id, "default");
            assert_eq!(answer.roles, ["editor"]);
            assert_eq!(answer.permissions, ["users.read"]);
            assert_eq!(answer.amr, ["pwd"]);
            assert!(!answer.revision.is_empty());
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_long_roles_lock_nobody_out() {
    for world in worlds().await {
        let service = world.start_with(&["--signing-algorithm=RS256"]).await;
        let roles: Vec<_> = (10..72).map(|n| format!("{n}{}", "r".repeat(98))).collect();
        world
            .directory
            .change(ADA, |ada| ada.roles.clone_from(&roles));
        let tokens = service.login("ada").await;
        assert!(tokens.access_token.len() <= 8 * 1024);
        let answer = service.validate(&tokens.access_token).await.unwrap();
        assert_eq!(answer.roles, roles);
        service.logout(&tokens.access_token).await.unwrap();
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_wrong_unset_locked_and_suspended_get_one_answer() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts-per-account=1"]).await;
        let wrong = service
            .try_login("ada", "not the password")
            .await
            .unwrap_err();
        // The one attempt on the account is used up: the right password is as good as a wrong one.
        let locked = service.try_login("ada", PASSWORD).await.unwrap_err();
        let unknown = service.try_login("nobody", PASSWORD).await.unwrap_err();
        world
            .directory
            .change(BOB, |bob| bob.status = AccountStatus::Suspended);
        let suspended = service
            .try_login("bob", "not the password")
            .await
            .unwrap_err();
        world.directory.change(BOB, |bob| bob.hash = None);
        let unset = service
            .try_login("bob@example.org", PASSWORD)
            .await
            .unwrap_err();
        let form = |status: &Status| {
            let sizes: Vec<_> = ["content-type", "x-request-id"]
                .map(|name| {
                    status
                        .metadata()
                        .get(name)
                        .map(tonic::metadata::MetadataValue::len)
                })
                .into();
            (
                status.code(),
                status.message().to_owned(),
                status.details().to_vec(),
                sizes,
            )
        };
        assert_eq!(wrong.code(), Code::Unauthenticated);
        for other in [&locked, &unknown, &suspended, &unset] {
            assert_eq!(form(other), form(&wrong));
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_told_only_after_the_proof() {
    for world in worlds().await {
        let service = world.start().await;
        for (status, reason) in [
            (AccountStatus::Suspended, ErrorReason::AccountSuspended),
            (AccountStatus::Inactive, ErrorReason::AccountInactive),
        ] {
            world.directory.change(ADA, |ada| ada.status = status);
            let answer = service.try_login("ada", PASSWORD).await;
            refused(answer, Code::PermissionDenied, reason);
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_directory_is_told_and_costs_no_attempt() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=2"]).await;
        world.directory.away.store(true, Ordering::SeqCst);
        for _ in 0..4 {
            let answer = service.try_login("ada", PASSWORD).await;
            refused(
                answer,
                Code::Unavailable,
                ErrorReason::DependencyUnavailable,
            );
        }
        world.directory.away.store(false, Ordering::SeqCst);
        service.login("ada").await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_below_the_policy_is_renewed_after_the_login() {
    for world in worlds().await {
        let service = world.start_with(&["--password-passes=2"]).await;
        service.login("ada").await;
        eventually("the hash is of two passes", async || {
            let hash = world.directory.user(ADA).hash;
            hash.is_some_and(|hash| hash.as_phc().contains("t=2"))
        })
        .await;
        service.login("ada").await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_somebody_else_must_be_changed_first() {
    for world in worlds().await {
        let service = world.start().await;
        let old = service.login("ada").await;
        world
            .directory
            .change(ADA, |ada| ada.change_required = true);
        let challenge = challenged(&service).await;

        for bad in ["short", PASSWORD] {
            let answer = answer(&service, &challenge, bad).await;
            refused(answer, Code::InvalidArgument, ErrorReason::InvalidFields);
        }
        let tokens = answer(&service, &challenge, NEW_PASSWORD).await.unwrap();
        service.validate(&tokens.access_token).await.unwrap();
        assert_eq!(world.directory.user(ADA).version, 2);

        let again = answer(&service, &challenge, NEW_PASSWORD).await;
        refused(again, Code::Unauthenticated, ErrorReason::ChallengeInvalid);
        let validated = service.validate(&old.access_token).await;
        refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
        let refreshed = service.refresh(&old.refresh_token).await;
        refused(
            refreshed,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_ends_by_time_and_by_too_many_answers() {
    for world in worlds().await {
        let service = world.start().await;
        world
            .directory
            .change(ADA, |ada| ada.change_required = true);
        let tried = challenged(&service).await;
        for _ in 0..10 {
            let answer = answer(&service, &tried, "short").await;
            refused(answer, Code::InvalidArgument, ErrorReason::InvalidFields);
        }
        let late = challenged(&service).await;
        world.clock.advance(Duration::from_mins(10));
        for challenge in [&tried, &late] {
            let answer = answer(&service, challenge, NEW_PASSWORD).await;
            refused(answer, Code::Unauthenticated, ErrorReason::ChallengeInvalid);
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_finished_by_the_same_challenge() {
    for world in worlds().await {
        let service = world.start().await;
        world
            .directory
            .change(ADA, |ada| ada.change_required = true);
        let challenge = challenged(&service).await;
        world.directory.loses_answers.store(true, Ordering::SeqCst);
        let lost = answer(&service, &challenge, NEW_PASSWORD).await;
        refused(lost, Code::Unavailable, ErrorReason::DependencyUnavailable);
        world.directory.loses_answers.store(false, Ordering::SeqCst);

        let other = answer(&service, &challenge, "another good password here").await;
        refused(other, Code::Unauthenticated, ErrorReason::ChallengeInvalid);
        answer(&service, &challenge, NEW_PASSWORD).await.unwrap();
        assert_eq!(world.directory.user(ADA).version, 2);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_changed_by_another_hand_ends_the_challenge() {
    for world in worlds().await {
        let service = world.start().await;
        world
            .directory
            .change(ADA, |ada| ada.change_required = true);
        let challenge = challenged(&service).await;
        let other: PasswordHash = hash("a password set by an administrator").await;
        world.directory.change(ADA, |ada| {
            ada.hash = Some(other);
            ada.version += 1;
        });
        let answer = answer(&service, &challenge, NEW_PASSWORD).await;
        refused(answer, Code::Unauthenticated, ErrorReason::ChallengeInvalid);
        service.stop().await;
    }
}

async fn challenged(service: &Service) -> Challenge {
    match service.try_login("ada", PASSWORD).await.unwrap().result {
        Some(login_response::Result::Challenge(challenge)) => challenge,
        _ => panic!("tokens instead of a challenge"),
    }
}

async fn answer(
    service: &Service,
    challenge: &Challenge,
    new_password: &str,
) -> Result<TokenSet, Status> {
    let request = ContinueLoginRequest {
        challenge_token: challenge.challenge_token.clone(),
        answer: Some(Answer::PasswordChange(PasswordChangeAnswer {
            new_password: new_password.to_owned(),
        })),
        ..ContinueLoginRequest::default()
    };
    let answer = service.auth.clone().continue_login(request).await?;
    match answer.into_inner().result {
        Some(continue_login_response::Result::Tokens(tokens)) => Ok(tokens),
        _ => panic!("another challenge"),
    }
}
