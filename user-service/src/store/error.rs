//! Why a read or write failed: a rule refused it, or the database did not carry it out.

use identity_kit::database::StoreError;
use sea_orm::DbErr;
use thiserror::Error as ThisError;

use crate::domain::refusal::Refusal;

/// Why a read or write failed.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A rule refused it; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not carry it out.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Failed(error.into())
    }
}

/// A refusal instead of a uniqueness error, chosen by the name of the constraint.
pub(super) fn taken(error: DbErr, refusal: impl Fn(&str) -> Option<Refusal>) -> Error {
    match StoreError::from(error) {
        StoreError::Unique { constraint } => refusal(&constraint).map_or(
            Error::Failed(StoreError::Unique { constraint }),
            Error::Refused,
        ),
        other => Error::Failed(other),
    }
}
