//! Statements and column values that several queries share.

use identity_guard::clock::Timestamp;
use identity_kit::database::StoreError;
use sea_orm::{ConnectionTrait, Statement, Value};

/// A statement whose `$1`, `$2` … both engines take as they are.
pub(super) fn statement(
    connection: &impl ConnectionTrait,
    sql: &'static str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    Statement::from_sql_and_values(connection.get_database_backend(), sql, values)
}

/// A count for a column; counts stay far below the bound.
pub(super) fn to_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count from a column.
pub(super) fn to_count(value: i64, column: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is negative")))
}

/// A small count from a column.
pub(super) fn to_small_count(value: i32, column: &str) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is negative")))
}

/// A small count for a column; counts stay far below the bound.
pub(super) fn to_small_column(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A moment for a column: microseconds since the Unix epoch.
pub(super) fn micros(moment: Timestamp) -> Value {
    moment.as_micros().into()
}
