//! A user who can log in, and what users do with their tokens.

pub(crate) use identity_dev::problem::reason as reason_of;
use identity_dev::{administrator::random_password, api::Api, session};
use identity_proto::{
    auth::v1::{
        LoginRequest, LogoutRequest, RefreshTokenRequest, TokenSet, ValidateTokenRequest,
        login_response,
    },
    user::v1::GetUserRequest,
};
use tonic::Status;

use super::World;

/// A user with a password of their own.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) password: String,
}

impl Person {
    /// Creates the user and changes the first password.
    pub(crate) async fn settle(world: &World, username: &str) -> Self {
        let first = random_password().unwrap();
        let password = random_password().unwrap();
        let user = world.create_user_with_password(username, &first).await;
        session::log_in(&world.api, username, &first, &password)
            .await
            .unwrap();
        Self {
            id: user.id,
            username: user.username,
            password,
        }
    }

    /// Logs in.
    pub(crate) async fn log_in(&self, api: &Api) -> Result<TokenSet, Status> {
        log_in(api, &self.username, &self.password).await
    }

    /// Reads the own profile: the least that a token is good for.
    pub(crate) async fn read_self(&self, api: &Api, access_token: &str) -> Result<(), Status> {
        let request = GetUserRequest {
            user_id: self.id.clone(),
            ..GetUserRequest::default()
        };
        api.users(access_token).get_user(request).await.map(drop)
    }
}

/// A login that must answer tokens when it answers at all.
pub(crate) async fn log_in(
    api: &Api,
    identifier: &str,
    password: &str,
) -> Result<TokenSet, Status> {
    let request = LoginRequest {
        identifier: identifier.to_owned(),
        password: password.to_owned(),
        ..LoginRequest::default()
    };
    match api.auth("").login(request).await?.into_inner().result {
        Some(login_response::Result::Tokens(tokens)) => Ok(tokens),
        other => panic!("no tokens: {other:?}"),
    }
}

/// Trades a refresh token.
pub(crate) async fn refresh(api: &Api, refresh_token: &str) -> Result<TokenSet, Status> {
    refresh_as(api, refresh_token, "").await
}

/// Trades a refresh token with a request id.
pub(crate) async fn refresh_as(
    api: &Api,
    refresh_token: &str,
    request_id: &str,
) -> Result<TokenSet, Status> {
    let request = RefreshTokenRequest {
        refresh_token: refresh_token.to_owned(),
        request_id: request_id.to_owned(),
        ..RefreshTokenRequest::default()
    };
    let answer = api.auth("").refresh_token(request).await?.into_inner();
    Ok(answer.tokens.unwrap())
}

/// Ends the session of an access token.
pub(crate) async fn log_out(api: &Api, access_token: &str) -> Result<(), Status> {
    let request = LogoutRequest {};
    api.auth(access_token).logout(request).await.map(drop)
}

/// Asks auth-service about an access token.
pub(crate) async fn validate(api: &Api, access_token: &str) -> Result<(), Status> {
    let request = ValidateTokenRequest {
        access_token: access_token.to_owned(),
        ..ValidateTokenRequest::default()
    };
    api.auth("").validate_token(request).await.map(drop)
}

/// The reason of a refusal; a success is a failure of the test.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    let status = outcome.expect_err("this must be refused");
    reason_of(&status).unwrap_or_else(|| panic!("no reason in {status:?}"))
}
