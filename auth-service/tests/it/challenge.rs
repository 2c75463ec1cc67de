//! The challenge of a login, and the new password that meets it.

use std::{sync::atomic::Ordering, time::Duration};

use auth_service::{
    domain::{
        account::PasswordHash,
        challenge as opened,
        client::{ClientContext, ClientId},
        id::UserId,
        opaque_token::{OpaqueToken, TokenKind},
        policy::SessionPolicy,
        user_change::UserChange,
    },
    store::{
        challenges,
        migration::Migrator,
        mint, sessions,
        user_feed::{self, PlacedChange},
    },
};
use identity_guard::{
    clock::{Clock as _, SystemClock},
    position::Position,
    status::ErrorReason,
};
use identity_kit::{entropy::SystemEntropy, outbox::Cursor, testing::databases};
use identity_proto::auth::v1::{
    Challenge, ContinueLoginRequest, PasswordChangeAnswer, TokenSet,
    continue_login_request::Answer, continue_login_response, login_response,
};
use tonic::{Code, Status};

use crate::{
    harness::{ADA, NEW_PASSWORD, PASSWORD, Service, hash, refused, worlds},
    housekeeping::rows,
    mint::{attempt, eve, new_session},
};

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
async fn a_login_under_way_leaves_no_challenge_of_somebody_who_is_deleted_meanwhile() {
    let policy = SessionPolicy::default();
    for database in databases::<Migrator>().await {
        let now = SystemClock.now();
        let cursor = |revision| Cursor {
            position: Position::new("a", revision),
            nonce: None,
        };
        user_feed::advance(&database, None, cursor(5))
            .await
            .unwrap();
        let client = || ClientContext::new(ClientId::trusted("web"), String::new(), "");
        let insert = async |read_at| {
            let token = OpaqueToken::generate(TokenKind::Challenge, &SystemEntropy);
            let new = opened::Challenge::open(&token, eve(), 1, client(), now, &policy);
            let read_at = Position::new("a", read_at);
            challenges::insert(&database, &new, &read_at, &attempt(), &policy, now)
                .await
                .unwrap()
        };
        assert!(insert(6).await);
        let deleted = PlacedChange {
            cursor: cursor(7),
            change: UserChange::Deleted(eve()),
        };
        user_feed::apply(&database, vec![deleted], &policy, now)
            .await
            .unwrap();
        assert_eq!(rows(&database, "challenges").await, 0);
        assert!(!insert(6).await, "it was read before the deletion");
        assert_eq!(rows(&database, "challenges").await, 0);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_that_is_overtaken_at_once_begins_no_session() {
    for world in worlds().await {
        let service = world.start().await;
        world
            .directory
            .change(ADA, |ada| ada.change_required = true);
        let challenge = challenged(&service).await;
        let other = hash("a password set by an administrator").await;
        world.directory.overtaking.set(other);
        let overtaken = answer(&service, &challenge, NEW_PASSWORD).await;
        refused(
            overtaken,
            Code::Unauthenticated,
            ErrorReason::ChallengeInvalid,
        );
        assert_eq!(world.directory.user(ADA).version, 3);
        let (reader, now) = (service.app.authority().database.reader(), world.clock.now());
        let live = sessions::list_live(reader, &UserId::trusted(ADA), None, 10, now).await;
        assert_eq!(live.unwrap(), []);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_stay_outdated_are_the_directorys_fault_and_leave_the_challenge_open() {
    for world in worlds().await {
        let service = world.start().await;
        world
            .directory
            .change(ADA, |ada| ada.change_required = true);
        let challenge = challenged(&service).await;
        let (policy, now) = (SessionPolicy::default(), world.clock.now());
        let mut ahead = world.directory.position();
        ahead.revision += 5;
        let other = new_session(ADA, ahead, None, now);
        let database = &service.app.authority().database;
        mint::begin(database, &other, &policy).await.unwrap();
        let outdated = answer(&service, &challenge, NEW_PASSWORD).await;
        refused(
            outdated,
            Code::Unavailable,
            ErrorReason::DependencyUnavailable,
        );
        for _ in 0..5 {
            world.directory.change(ADA, |_| {});
        }
        answer(&service, &challenge, NEW_PASSWORD).await.unwrap();
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
