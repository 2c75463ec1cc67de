//! The audit log.

use identity_kit::audit;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    audit::create_tables(transaction).await
}
