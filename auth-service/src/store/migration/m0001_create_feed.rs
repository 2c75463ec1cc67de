//! The outbox of the access feed.

use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    identity_kit::outbox::create_tables(transaction).await
}
