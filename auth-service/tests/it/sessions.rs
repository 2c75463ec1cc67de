//! Logout and the sessions of a user.

use std::time::Duration;

use identity_guard::status::ErrorReason;
use identity_kit::secret::join;
use identity_proto::auth::v1::{
    ListSessionsRequest, RevokeAllSessionsRequest, RevokeSessionRequest, TokenSet,
    ValidateTokenRequest,
};
use tonic::Code;

use crate::harness::{ADA, BOB, as_user, refused, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn after_logout_everything_of_the_session_is_refused() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = service.login("ada").await;
        let other = service.login("ada").await;
        service.logout(&tokens.access_token).await.unwrap();
        let again = service.logout(&tokens.access_token).await;
        refused(again, Code::Unauthenticated, ErrorReason::TokenRevoked);
        let validated = service.validate(&tokens.access_token).await;
        refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
        let refreshed = service.refresh(&tokens.refresh_token).await;
        refused(
            refreshed,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
        service.validate(&other.access_token).await.unwrap();
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_every_token_that_is_still_accepted() {
    for world in worlds().await {
        let lives = ["--session-idle-seconds=60", "--access-token-seconds=600"];
        let service = world.start_with(&lives).await;
        let ends = |tokens: &TokenSet| {
            let token = tokens.access_token_expire_time.unwrap();
            let session = tokens.refresh_token_expire_time.unwrap();
            assert!(token.seconds <= session.seconds, "{tokens:?}");
        };
        let first = service.login("ada").await;
        ends(&first);
        let second = service.refresh(&first.refresh_token).await.unwrap();
        ends(&second);
        world.clock.advance(Duration::from_secs(9));
        let again = service.refresh(&first.refresh_token).await.unwrap();
        ends(&again);
        assert_eq!(again.refresh_token, second.refresh_token);

        // The session is over, and by a clock that differs by the leeway its last token is not.
        world.clock.advance(Duration::from_mins(1));
        service.validate(&again.access_token).await.unwrap();
        service.logout(&again.access_token).await.unwrap();
        let validated = service.validate(&again.access_token).await;
        refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_survives_a_restart() {
    for world in worlds().await {
        let service = world.start().await;
        let one = service.login("ada").await;
        let all = service.login("bob").await;
        service.logout(&one.access_token).await.unwrap();
        let request = RevokeAllSessionsRequest {
            user_id: BOB.to_owned(),
            keep_current: false,
        };
        let request = as_user(&all.access_token, request);
        service
            .sessions
            .clone()
            .revoke_all_sessions(request)
            .await
            .unwrap();
        service.stop().await;

        let service = world.start().await;
        for tokens in [one, all] {
            let validated = service.validate(&tokens.access_token).await;
            refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_but_the_current_one_end_on_request() {
    for world in worlds().await {
        let service = world.start().await;
        let current = service.login("ada").await;
        let others = [service.login("ada").await, service.login("ada").await];
        let revoke = |keep_current| {
            let request = RevokeAllSessionsRequest {
                user_id: ADA.to_owned(),
                keep_current,
            };
            let request = as_user(&current.access_token, request);
            let mut sessions = service.sessions.clone();
            async move {
                sessions
                    .revoke_all_sessions(request)
                    .await
                    .unwrap()
                    .into_inner()
            }
        };
        let ended = revoke(true).await;
        assert_eq!(
            (ended.sessions_revoked, ended.refresh_tokens_revoked),
            (2, 2)
        );
        assert!(!ended.revision.is_empty());
        for other in &others {
            let validated = service.validate(&other.access_token).await;
            refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
        }
        service.validate(&current.access_token).await.unwrap();

        assert_eq!(revoke(false).await.sessions_revoked, 1);
        let validated = service.validate(&current.access_token).await;
        refused(validated, Code::Unauthenticated, ErrorReason::TokenRevoked);
        let fresh = service.login("ada").await;
        let answer = service.validate(&fresh.access_token).await.unwrap();
        assert_eq!(answer.generation, 2);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_newest_first_page_by_page() {
    for world in worlds().await {
        let service = world.start().await;
        let mut expected = Vec::new();
        let mut token = String::new();
        for moment in 0..3 {
            world.clock.advance(Duration::from_micros(1));
            // Of the same moment in the order of their ids.
            for _ in 0..2 {
                let tokens = service.login("ada").await;
                expected.push((moment, tokens.session_id));
                token = tokens.access_token;
            }
        }
        expected.sort();
        let expected: Vec<_> = expected.into_iter().rev().map(|(_, id)| id).collect();
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListSessionsRequest {
                user_id: ADA.to_owned(),
                page_size: 3,
                page_token: page_token.clone(),
                min_revision: String::new(),
            };
            let page = service
                .sessions
                .clone()
                .list_sessions(as_user(&token, request))
                .await;
            let page = page.unwrap().into_inner();
            assert!(page.sessions.len() <= 3);
            found.extend(page.sessions.into_iter().map(|session| session.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_of_this_list_this_user_and_this_caller() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = service.login("ada").await;
        let pages = &service.app.authority().pages;
        let cursor = serde_json::json!({ "created_at": 0, "id": tokens.session_id });
        let own = join(&[b"ListSessions", ADA.as_bytes()]);
        for (caller, list, is_taken) in [
            (ADA, own.clone(), true),
            (BOB, own, false),
            (ADA, ADA.as_bytes().to_vec(), false),
            (ADA, join(&[b"ListSessions", BOB.as_bytes()]), false),
            (ADA, join(&[b"ListUsers", ADA.as_bytes()]), false),
        ] {
            let request = ListSessionsRequest {
                user_id: ADA.to_owned(),
                page_token: pages.seal(caller, &list, &cursor),
                ..ListSessionsRequest::default()
            };
            let request = as_user(&tokens.access_token, request);
            let answer = service.sessions.clone().list_sessions(request).await;
            if is_taken {
                answer.unwrap();
            } else {
                refused(answer, Code::InvalidArgument, ErrorReason::InvalidFields);
            }
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_ends_and_anothers_is_not_to_be_seen() {
    for world in worlds().await {
        let service = world.start().await;
        let ada = service.login("ada").await;
        let bob = service.login("bob").await;
        let revoke = async |user_id: &str, session_id: &str| {
            let request = RevokeSessionRequest {
                user_id: user_id.to_owned(),
                session_id: session_id.to_owned(),
            };
            let request = as_user(&ada.access_token, request);
            service.sessions.clone().revoke_session(request).await
        };
        let foreign = revoke(BOB, &bob.session_id).await;
        refused(foreign, Code::NotFound, ErrorReason::NotFound);
        let mixed = revoke(ADA, &bob.session_id).await;
        refused(mixed, Code::NotFound, ErrorReason::SessionNotFound);
        let ended = revoke(ADA, &ada.session_id).await.unwrap().into_inner();
        assert_eq!(ended.refresh_tokens_revoked, 1);
        service.validate(&bob.access_token).await.unwrap();
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_as_new_as_the_revision_that_was_asked_for() {
    for world in worlds().await {
        let service = world.start().await;
        let gone = service.login("ada").await;
        let token = service.login("ada").await.access_token;
        let request = RevokeSessionRequest {
            user_id: ADA.to_owned(),
            session_id: gone.session_id,
        };
        let answer = service
            .sessions
            .clone()
            .revoke_session(as_user(&token, request))
            .await;
        let min_revision = answer.unwrap().into_inner().revision;
        let ask = |min_revision: String| ValidateTokenRequest {
            access_token: token.clone(),
            min_revision,
        };
        let mut auth = service.auth.clone();
        auth.validate_token(ask(min_revision.clone()))
            .await
            .unwrap();
        let forged = auth.validate_token(ask(format!("{min_revision}A"))).await;
        refused(forged, Code::InvalidArgument, ErrorReason::InvalidFields);
        service.stop().await;
    }
}
