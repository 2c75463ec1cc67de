//! Who decides by the feed.

use identity_kit::feed;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    feed::create_watchers_table(transaction).await
}
