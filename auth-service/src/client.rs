//! The user directory: what auth-service asks of user-service, in this service's own words.

mod convert;
mod grpc;

use std::time::Duration;

pub use self::grpc::GrpcUserDirectory;
use crate::domain::{
    account::{AccessSnapshot, Credential, PasswordChange},
    id::UserId,
    identifier::LoginIdentifier,
};

/// Whose credential.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// Of whoever has this username or address.
    Login(&'a LoginIdentifier),
    /// Of this user.
    User(&'a UserId),
}

/// Why the directory gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be reached, or has too much to do.
    #[error("the user directory is unavailable")]
    Unavailable {
        /// When to try again, where it said so.
        retry_after: Option<Duration>,
    },
    /// The caller's time is over.
    #[error("the user directory did not answer in time")]
    DeadlinePassed,
    /// The credential is not as the caller read it.
    #[error("the credential has changed")]
    Conflict,
    /// The user does not exist any more.
    #[error("the user does not exist")]
    UserGone,
    /// It answered what it never should: a defect or a wrong configuration.
    #[error("the user directory refused: {0}")]
    Refused(String),
}

/// Where users, their passwords and their rights are kept. Every answer is read from the database at the time of asking.
#[tonic::async_trait]
pub trait UserDirectory: Send + Sync + 'static {
    /// Everything that a login needs; `None` for an unknown user.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when there is no answer.
    async fn find_credential(&self, whose: Whose<'_>)
    -> Result<Option<Credential>, DirectoryError>;

    /// Status and rights; `None` for an unknown user.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when there is no answer.
    async fn find_access(&self, user_id: &UserId)
    -> Result<Option<AccessSnapshot>, DirectoryError>;

    /// Sets a password hash if the credential is still as it was read.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Conflict`], [`DirectoryError::UserGone`], or another when there is no answer: then the
    /// same operation can be repeated.
    async fn set_password_hash(&self, change: &PasswordChange) -> Result<(), DirectoryError>;
}
