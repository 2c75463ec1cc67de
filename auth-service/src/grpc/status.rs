//! The wire form of this service's errors: one exhaustive match.

use std::time::Duration;

use identity_guard::{
    engine::Refusal,
    status::{ErrorReason, Failure},
};

use crate::{authority::AuthError, client::DirectoryError, domain::account::Unusable};

/// When to come back to a service that was away.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// When to come back for a revision that was not reached.
const RETRY_REVISION_AFTER: Duration = Duration::from_millis(100);

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::InvalidCredentials => Self::new(
                ErrorReason::InvalidCredentials,
                "the identifier or the password is wrong",
            ),
            AuthError::Unusable(Unusable::Suspended) => {
                Self::new(ErrorReason::AccountSuspended, "the account is suspended")
            }
            AuthError::Unusable(Unusable::Inactive) => {
                Self::new(ErrorReason::AccountInactive, "the account is not active")
            }
            AuthError::TooManyAttempts { retry_after } => Self::new(
                ErrorReason::TooManyAttempts,
                "too many attempts; come back later",
            )
            .with_retry_after(retry_after),
            AuthError::RefreshTokenInvalid => Self::new(
                ErrorReason::RefreshTokenInvalid,
                "the refresh token is not valid; log in again",
            ),
            AuthError::ChallengeInvalid => Self::new(
                ErrorReason::ChallengeInvalid,
                "the challenge is not valid; log in again",
            ),
            AuthError::Conflict => {
                Self::new(ErrorReason::Conflict, "a concurrent change won; try again")
            }
            AuthError::PasswordRefused(problem) => new_password(problem.to_string()),
            AuthError::PasswordUnchanged => {
                new_password("is the current password: choose another one".to_owned())
            }
            AuthError::SessionNotFound(id) => {
                Self::not_found(ErrorReason::SessionNotFound, "session", id.as_str())
            }
            AuthError::Token(refusal) => token(refusal),
            AuthError::RevisionNotReached => Self::new(
                ErrorReason::RevisionNotReached,
                "the revision is not reached yet",
            )
            .with_retry_after(RETRY_REVISION_AFTER),
            AuthError::RevisionLost => Self::invalid_fields([(
                "min_revision",
                "is of a change that was lost when the database was restored; ask without it",
            )]),
            AuthError::RightsOutdated => Self::unavailable("user-service", RETRY_AFTER),
            AuthError::Hash(error) => error.into(),
            AuthError::Directory(error) => directory(error),
            AuthError::Store(error) => {
                tracing::warn!(error = ?error, "the database failed");
                error.into()
            }
            AuthError::Key(error) => {
                tracing::error!(%error, "no token could be signed");
                Self::internal()
            }
        }
    }
}

fn new_password(problem: String) -> Failure {
    Failure::invalid_fields([("password_change.new_password", problem)])
}

fn token(refusal: Refusal) -> Failure {
    let reason = match refusal {
        Refusal::Missing => ErrorReason::TokenMissing,
        Refusal::Invalid => ErrorReason::TokenInvalid,
        Refusal::Expired => ErrorReason::TokenExpired,
        Refusal::Revoked => ErrorReason::TokenRevoked,
        Refusal::Stale => return Failure::unavailable("the access feed", RETRY_AFTER),
    };
    Failure::new(reason, refusal.to_string())
}

fn directory(error: DirectoryError) -> Failure {
    match error {
        DirectoryError::Unavailable { retry_after } => {
            Failure::unavailable("user-service", retry_after.unwrap_or(RETRY_AFTER))
        }
        DirectoryError::DeadlinePassed => Failure::new(
            ErrorReason::DeadlinePassed,
            "user-service did not answer in time",
        ),
        DirectoryError::Conflict => {
            Failure::new(ErrorReason::Conflict, "a concurrent change won; try again")
        }
        // Only an answer to a challenge changes a password that somebody waits for: its user was deleted meanwhile.
        DirectoryError::UserGone => AuthError::ChallengeInvalid.into(),
        DirectoryError::Refused(cause) => {
            tracing::error!(cause, "user-service refused this service");
            Failure::internal()
        }
    }
}
