//! A login from the caller's side: tokens, the change of a password that somebody else chose, and keeping them.

use std::{path::PathBuf, time::Duration, time::SystemTime};

use identity_proto::auth::v1::{
    Challenge, ChallengeKind, ContinueLoginRequest, LoginRequest, PasswordChangeAnswer,
    RefreshTokenRequest, TokenSet, continue_login_request::Answer, continue_login_response,
    login_response,
};

use crate::{
    api::Api,
    private_file,
    problem::{Problem, reason},
};

/// Logs in; where the password must be changed, changes it to `new_password`.
///
/// # Errors
///
/// When the login or the change is refused.
pub async fn log_in(
    api: &Api,
    identifier: &str,
    password: &str,
    new_password: &str,
) -> Result<TokenSet, Problem> {
    match begin(api, identifier, password).await? {
        login_response::Result::Tokens(tokens) => Ok(tokens),
        login_response::Result::Challenge(challenge) => {
            change_password(api, challenge, new_password).await
        }
    }
}

/// The first step of a login: tokens or a challenge.
///
/// # Errors
///
/// When the login is refused.
pub async fn begin(
    api: &Api,
    identifier: &str,
    password: &str,
) -> Result<login_response::Result, Problem> {
    let request = LoginRequest {
        identifier: identifier.to_owned(),
        password: password.to_owned(),
        ..LoginRequest::default()
    };
    api.auth("")
        .login(request)
        .await
        .map_err(|status| Problem::call("Login", &status))?
        .into_inner()
        .result
        .ok_or_else(|| Problem::new("Login answered neither tokens nor a challenge"))
}

/// Meets the challenge of a password that somebody else chose.
///
/// # Errors
///
/// When it is another challenge, or the new password is refused.
pub async fn change_password(
    api: &Api,
    challenge: Challenge,
    new_password: &str,
) -> Result<TokenSet, Problem> {
    if challenge.kind() != ChallengeKind::PasswordChange {
        return Err(Problem::new(format!(
            "Login wants {}, which is not known here",
            challenge.kind().as_str_name()
        )));
    }
    let request = ContinueLoginRequest {
        challenge_token: challenge.challenge_token,
        answer: Some(Answer::PasswordChange(PasswordChangeAnswer {
            new_password: new_password.to_owned(),
        })),
        request_id: String::new(),
    };
    let answer = api
        .auth("")
        .continue_login(request)
        .await
        .map_err(|status| Problem::call("ContinueLogin", &status))?
        .into_inner();
    match answer.result {
        Some(continue_login_response::Result::Tokens(tokens)) => Ok(tokens),
        _ => Err(Problem::new("ContinueLogin did not answer tokens")),
    }
}

/// Why a refresh gave no tokens.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The session is over: nobody gets anything for this token any more.
    #[error(transparent)]
    Ended(Problem),
    /// Anything else, which says nothing about the session.
    #[error(transparent)]
    Failed(Problem),
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Ended(problem) | RefreshError::Failed(problem) => problem,
        }
    }
}

/// Trades the refresh token for new tokens.
///
/// # Errors
///
/// The session has ended, or there was no answer.
pub async fn refresh(api: &Api, refresh_token: &str) -> Result<TokenSet, RefreshError> {
    let request = RefreshTokenRequest {
        refresh_token: refresh_token.to_owned(),
        ..RefreshTokenRequest::default()
    };
    let answer = api.auth("").refresh_token(request).await;
    answer
        .map_err(|status| {
            let problem = Problem::call("RefreshToken", &status);
            match reason(&status).as_deref() {
                Some("REFRESH_TOKEN_INVALID") => RefreshError::Ended(problem),
                _ => RefreshError::Failed(problem),
            }
        })?
        .into_inner()
        .tokens
        .ok_or_else(|| RefreshError::Failed(Problem::new("RefreshToken answered no tokens")))
}

/// Where the session of `cargo dev` is kept between its runs, in files of mode 0600.
#[derive(Clone, Debug)]
pub struct SessionFiles {
    /// The access token, for shells; replaced before it ends.
    pub access_token: PathBuf,
    /// The refresh token, which makes the next run's session.
    pub refresh_token: PathBuf,
}

impl SessionFiles {
    /// Keeps new tokens. The refresh token first: it alone cannot be had again.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn keep(&self, tokens: &TokenSet) -> Result<(), Problem> {
        private_file::write(&self.refresh_token, tokens.refresh_token.as_bytes())?;
        private_file::write(&self.access_token, tokens.access_token.as_bytes())
    }

    /// Resumes the session of the run before; `None` when there is none or it has ended.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written, or nobody says what has become of the session.
    pub async fn resume(&self, api: &Api) -> Result<Option<TokenSet>, Problem> {
        let Some(refresh_token) = private_file::read(&self.refresh_token)? else {
            return Ok(None);
        };
        match refresh(api, &refresh_token).await {
            Ok(tokens) => {
                self.keep(&tokens)?;
                Ok(Some(tokens))
            }
            Err(RefreshError::Ended(_)) => Ok(None),
            Err(RefreshError::Failed(problem)) => Err(problem),
        }
    }
}

/// How long until an access token should be replaced: half of what is left of its life, at least a second.
#[must_use]
pub fn renewal_after(tokens: &TokenSet) -> Duration {
    tokens
        .access_token_expire_time
        .and_then(|time| SystemTime::try_from(time).ok())
        .and_then(|time| time.duration_since(SystemTime::now()).ok())
        .map_or(Duration::ZERO, |left| left / 2)
        .max(Duration::from_secs(1))
}
