//! The feed of changes.

use identity_kit::outbox;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    outbox::create_tables(transaction).await
}
