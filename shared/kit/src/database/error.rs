//! What can go wrong with the store, the same on both engines.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};
use sqlx::{
    Error as SqlxError, error::DatabaseError, postgres::PgDatabaseError, sqlite::SqliteError,
};

use crate::status::{ErrorReason, Failure};

/// PostgreSQL's `query_canceled`, which only its bound of a statement makes here.
const STATEMENT_TIMEOUT: &str = "57014";
/// SQLite's `SQLITE_INTERRUPT`.
const INTERRUPT: u32 = 9;

/// A failure of the store. Its text never shows what the driver said; the source and `Debug` do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is overloaded, read-only or out of space; nothing was written.
    #[error("the database is unavailable")]
    Unavailable(#[source] DbErr),
    /// A concurrent transaction won; nothing was written.
    #[error("a concurrent change won")]
    Conflict,
    /// A unique key is taken; nothing was written.
    #[error("the unique key {constraint} is taken")]
    Unique {
        /// `table.column`, or `table.column,column` in the order of the key, on both engines.
        constraint: String,
    },
    /// A row that is referred to is absent, or a row is still referred to; nothing was written.
    #[error("a reference does not hold")]
    ForeignKey,
    /// The commit was sent and not answered: the write happened or did not.
    #[error("the outcome of the write is unknown")]
    UnknownOutcome,
    /// Stored data is not what this program writes.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// A defect of a statement or of this program.
    #[error("the store failed")]
    Other(#[source] DbErr),
}

impl StoreError {
    /// Whether a statement was ended because it took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        let Self::Unavailable(
            DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)),
        ) = self
        else {
            return false;
        };
        let Some(error) = cause.as_database_error() else {
            return false;
        };
        if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
            error.code() == STATEMENT_TIMEOUT
        } else {
            error
                .try_downcast_ref::<SqliteError>()
                .is_some_and(|error| result_code(error) & 0xff == INTERRUPT)
        }
    }

    /// Unavailable for a reason of our own.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable(DbErr::Custom(reason.into()))
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let fault = Fault::of(&error);
        match fault {
            Fault::Unavailable | Fault::Busy | Fault::Disconnected => Self::Unavailable(error),
            Fault::Conflict => Self::Conflict,
            Fault::Unique(constraint) => Self::Unique { constraint },
            Fault::ForeignKey => Self::ForeignKey,
            Fault::Corrupt => Self::Corrupt(error.to_string()),
            Fault::Other => Self::Other(error),
        }
    }
}

impl From<StoreError> for Failure {
    /// What a caller learns when nothing more fitting is known. The cause belongs in the log.
    fn from(error: StoreError) -> Self {
        const RETRY_AFTER: Duration = Duration::from_secs(1);
        match error {
            StoreError::Unavailable(_) | StoreError::UnknownOutcome => {
                Self::unavailable("the database", RETRY_AFTER)
            }
            StoreError::Conflict => {
                Self::new(ErrorReason::Conflict, "a concurrent change won; try again")
            }
            StoreError::Unique { .. }
            | StoreError::ForeignKey
            | StoreError::Corrupt(_)
            | StoreError::Other(_) => Self::internal(),
        }
    }
}

/// The kind of a driver's error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Will pass by itself.
    Unavailable,
    /// Another process holds the lock for writing.
    Busy,
    /// The connection is of no more use, and so perhaps are those opened with it.
    Disconnected,
    Conflict,
    Unique(String),
    ForeignKey,
    Corrupt,
    Other,
}

impl Fault {
    pub(super) fn of(error: &DbErr) -> Self {
        match error {
            DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => Self::of_sqlx(cause),
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable,
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => Self::Corrupt,
            _ => Self::Other,
        }
    }

    fn of_sqlx(error: &SqlxError) -> Self {
        match error {
            SqlxError::Database(error) => {
                if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                    Self::of_postgres(error)
                } else if let Some(error) = error.try_downcast_ref::<SqliteError>() {
                    Self::of_sqlite(error)
                } else {
                    Self::Other
                }
            }
            SqlxError::PoolTimedOut => Self::Unavailable,
            SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed => Self::Disconnected,
            SqlxError::ColumnDecode { .. } | SqlxError::Decode(_) => Self::Corrupt,
            _ => Self::Other,
        }
    }

    /// By SQLSTATE.
    fn of_postgres(error: &PgDatabaseError) -> Self {
        let code = error.code();
        match (&code[..2], code) {
            // Serialisation failure and deadlock.
            (_, "40001" | "40P01") => Self::Conflict,
            (_, "23505") => Self::Unique(violated_key(error)),
            (_, "23001" | "23503") => Self::ForeignKey,
            // A server that went away, shuts down, starts up, or has become a standby.
            ("08", _) | (_, "25006" | "25P03" | "57P01" | "57P02" | "57P03" | "57P05") => {
                Self::Disconnected
            }
            // Resources, lock time-out, statement time-out, system errors.
            ("53" | "58", _) | (_, "55P03" | "57014") => Self::Unavailable,
            ("XX", "XX001" | "XX002") => Self::Corrupt,
            _ => Self::Other,
        }
    }

    /// By extended result code.
    fn of_sqlite(error: &SqliteError) -> Self {
        let code = result_code(error);
        match (code & 0xff, code) {
            // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID.
            (_, 2067 | 1555 | 2579) => Self::Unique(failed_columns(error.message())),
            // SQLITE_CONSTRAINT_FOREIGNKEY, _TRIGGER (which deferred actions report).
            (_, 787 | 1811) => Self::ForeignKey,
            // BUSY: another process writes, and this one wrote nothing.
            (5, _) => Self::Busy,
            // LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN.
            (6 | 7 | 8 | 9 | 10 | 13 | 14, _) => Self::Unavailable,
            // CORRUPT, NOTADB.
            (11 | 26, _) => Self::Corrupt,
            _ => Self::Other,
        }
    }
}

/// The extended result code.
fn result_code(error: &SqliteError) -> u32 {
    error
        .code()
        .and_then(|code| code.parse().ok())
        .unwrap_or_default()
}

/// `table.column,column` of a violated key, from the server's "Key (column, column)=(…) already exists.", in
/// which only the words are translated. So the names of constraints do not matter.
fn violated_key(error: &PgDatabaseError) -> String {
    let columns = error
        .detail()
        .and_then(|detail| detail.split_once('(')?.1.split_once(")=("))
        .map(|(columns, _)| columns.replace(", ", ",").replace('"', ""));
    match (error.table(), columns) {
        (Some(table), Some(columns)) => format!("{table}.{columns}"),
        _ => error.constraint().unwrap_or_default().to_owned(),
    }
}

/// The same from "UNIQUE constraint failed: table.column, table.column".
fn failed_columns(message: &str) -> String {
    let list = message.rsplit_once(": ").map_or(message, |(_, list)| list);
    let mut columns = list.split(", ");
    let mut key = columns.next().unwrap_or_default().to_owned();
    for column in columns {
        key.push(',');
        key.push_str(column.rsplit_once('.').map_or(column, |(_, name)| name));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_several_columns_names_its_table_once() {
        assert_eq!(
            failed_columns("UNIQUE constraint failed: users.name"),
            "users.name"
        );
        assert_eq!(
            failed_columns("UNIQUE constraint failed: user_roles.user_id, user_roles.role_id"),
            "user_roles.user_id,role_id"
        );
    }

    #[test]
    fn text_of_an_error_keeps_the_driver_to_itself() {
        let error = StoreError::from(DbErr::Conn(RuntimeErr::Internal("host db7".into())));
        assert_eq!(error.to_string(), "the database is unavailable");
        assert_eq!(
            Failure::from(error).reason(),
            ErrorReason::DependencyUnavailable
        );
    }
}
