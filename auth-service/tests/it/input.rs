//! Bad input: every bad field is named, and nothing is INTERNAL.

use identity_guard::status::ErrorReason;
use identity_proto::auth::v1::{
    ContinueLoginRequest, ListSessionsRequest, LoginRequest, PasswordChangeAnswer,
    RefreshTokenRequest, RevokeAllSessionsRequest, RevokeSessionRequest, ValidateTokenRequest,
    continue_login_request::Answer,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{ADA, BOB, PASSWORD, as_user, refused, worlds};

/// Texts that no field takes.
fn bad_texts() -> [String; 3] {
    ["\0".to_owned(), "a\u{7}b".to_owned(), "x".repeat(10_000)]
}

#[track_caller]
fn assert_fields<T>(answer: Result<T, Status>, expected: &[&str]) {
    let status = refused(answer, Code::InvalidArgument, ErrorReason::InvalidFields);
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_calls_name_every_bad_field() {
    let world = worlds().await.remove(0);
    let service = world.start().await;
    let mut auth = service.auth.clone();
    assert_fields(
        auth.login(LoginRequest::default()).await,
        &["identifier", "password"],
    );
    assert_fields(
        auth.continue_login(ContinueLoginRequest::default()).await,
        &["challenge_token", "password_change"],
    );
    assert_fields(
        auth.refresh_token(RefreshTokenRequest::default()).await,
        &["refresh_token"],
    );
    let missing = auth.validate_token(ValidateTokenRequest::default()).await;
    refused(missing, Code::Unauthenticated, ErrorReason::TokenMissing);
    for bad in bad_texts() {
        let login = LoginRequest {
            identifier: bad.clone(),
            password: if bad.len() > 1024 {
                bad.clone()
            } else {
                String::new()
            },
            client_id: bad.clone(),
            device_token: bad.clone(),
            request_id: bad.clone(),
            assurance: None,
        };
        assert_fields(
            auth.login(login).await,
            &[
                "identifier",
                "password",
                "client_id",
                "request_id",
                "device_token",
            ],
        );
        let continuation = ContinueLoginRequest {
            challenge_token: bad.clone(),
            request_id: bad.clone(),
            answer: Some(Answer::PasswordChange(PasswordChangeAnswer {
                new_password: bad.clone(),
            })),
        };
        assert_fields(
            auth.continue_login(continuation).await,
            &["challenge_token", "request_id"],
        );
        let refresh = RefreshTokenRequest {
            refresh_token: bad.clone(),
            client_id: bad.clone(),
            request_id: bad.clone(),
        };
        assert_fields(
            auth.refresh_token(refresh).await,
            &["refresh_token", "client_id", "request_id"],
        );
        let validate = ValidateTokenRequest {
            access_token: bad.clone(),
            min_revision: bad.clone(),
        };
        assert_fields(
            auth.validate_token(validate).await,
            &["access_token", "min_revision"],
        );
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_calls_name_every_bad_field() {
    let world = worlds().await.remove(0);
    world.directory.change(ADA, |ada| {
        ada.permissions = ["sessions.read", "sessions.revoke"]
            .map(str::to_owned)
            .into();
    });
    let service = world.start().await;
    let token = service.login("ada").await.access_token;
    let mut sessions = service.sessions.clone();
    for bad in bad_texts() {
        let list = ListSessionsRequest {
            user_id: bad.clone(),
            page_size: -1,
            page_token: bad.clone(),
            min_revision: bad.clone(),
        };
        assert_fields(
            sessions.list_sessions(as_user(&token, list)).await,
            &["user_id", "page_size", "page_token", "min_revision"],
        );
        let revoke = RevokeSessionRequest {
            user_id: bad.clone(),
            session_id: bad.clone(),
        };
        assert_fields(
            sessions.revoke_session(as_user(&token, revoke)).await,
            &["user_id", "session_id"],
        );
    }
    let all = RevokeAllSessionsRequest {
        user_id: BOB.to_owned(),
        keep_current: true,
    };
    assert_fields(
        sessions.revoke_all_sessions(as_user(&token, all)).await,
        &["keep_current"],
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_kind_are_refused_in_each_place() {
    let world = worlds().await.remove(0);
    let service = world.start().await;
    let tokens = service.login("ada").await;
    for token in [
        tokens.refresh_token.as_str(),
        "garbage",
        PASSWORD.split(' ').next().unwrap(),
    ] {
        let answer = service.validate(token).await;
        refused(answer, Code::Unauthenticated, ErrorReason::TokenInvalid);
    }
    let challenge = tokens.refresh_token.replacen("idr_", "idc_", 1);
    for token in ["garbage", &challenge] {
        let answer = service.refresh(token).await;
        refused(
            answer,
            Code::Unauthenticated,
            ErrorReason::RefreshTokenInvalid,
        );
    }
    service.stop().await;
}
