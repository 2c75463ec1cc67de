//! Which users were imported, and what their sources call them.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    // What a source calls a person is about that person: it goes with the user.
    run(
        transaction,
        &[
            "CREATE TABLE user_imports (
                source {key} NOT NULL,
                external_id {key} NOT NULL,
                user_id {key} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                created_at bigint NOT NULL,
                PRIMARY KEY (source, external_id)
            )",
            "CREATE INDEX user_imports_by_user ON user_imports (user_id)",
        ],
    )
    .await
}
