//! The epochs of the feed that a restore has ended.

use identity_kit::outbox;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    outbox::create_past_table(transaction).await
}
