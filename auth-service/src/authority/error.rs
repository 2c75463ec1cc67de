//! Why a call of this service fails, before it has a wire form.

use std::time::Duration;

use identity_guard::engine::Refusal;
use identity_kit::{
    database::StoreError,
    password::{HashError, PasswordProblem},
};

use crate::{
    client::DirectoryError,
    domain::{account::Unusable, id::SessionId},
    signer::KeyError,
};

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown user, wrong password, no password, or a locked account: nobody learns which.
    #[error("the credentials are wrong")]
    InvalidCredentials,
    /// The proof was good, the account is not.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Too many attempts of an identifier from a network, or of a network.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When to come back.
        retry_after: Duration,
    },
    /// The refresh token is unknown, over, or used.
    #[error("the refresh token is not valid")]
    RefreshTokenInvalid,
    /// The challenge is unknown, over, or used.
    #[error("the challenge is not valid")]
    ChallengeInvalid,
    /// A race was lost and nothing was changed.
    #[error("a concurrent change won")]
    Conflict,
    /// The new password may not be set.
    #[error("the new password {0}")]
    PasswordRefused(PasswordProblem),
    /// The new password is the current one.
    #[error("the new password is the current one")]
    PasswordUnchanged,
    /// The session is not live, or another user's.
    #[error("the session does not exist")]
    SessionNotFound(SessionId),
    /// The access token is refused.
    #[error(transparent)]
    Token(#[from] Refusal),
    /// The own feed has not come to a wanted position.
    #[error("the revision is not reached")]
    RevisionNotReached,
    /// A wanted position was lost when the database was restored.
    #[error("the revision was lost")]
    RevisionLost,
    /// The passwords' threads gave no answer.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// user-service gave no answer.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// user-service gave rights again and again that are older than those that it gave before.
    #[error("the rights stay outdated")]
    RightsOutdated,
    /// The own database gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}
