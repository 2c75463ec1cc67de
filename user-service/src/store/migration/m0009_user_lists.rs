//! Indexes of the lists of users that had none.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    // Those of two columns would walk over everybody of a common type to find the few suspended ones among them:
    // SQLite has no statistics to choose by. Each costs a new user some microseconds.
    run(
        transaction,
        &[
            "CREATE INDEX users_by_status_username ON users (status, username_key)",
            "CREATE INDEX users_by_type_username ON users (user_type_id, username_key)",
            "CREATE INDEX users_by_status_type_created ON users (status, user_type_id, created_at, id)",
            "CREATE INDEX users_by_status_type_username ON users (status, user_type_id, username_key)",
        ],
    )
    .await
}
