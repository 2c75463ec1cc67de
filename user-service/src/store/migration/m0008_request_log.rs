//! Requests that callers may repeat.

use identity_kit::idempotency;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    idempotency::create_tables(transaction).await
}
