//! How far the changes of user-service are applied, and which of them a session has outlived.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            // Where the rights were read that the session began with; of sessions from before, nowhere.
            "ALTER TABLE sessions ADD COLUMN user_epoch TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE sessions ADD COLUMN user_revision BIGINT NOT NULL DEFAULT 0",
            "CREATE TABLE user_feed (
                id INTEGER PRIMARY KEY CHECK (id = 1),
                epoch TEXT NOT NULL,
                revision BIGINT NOT NULL,
                nonce TEXT
            )",
            "INSERT INTO user_feed (id, epoch, revision, nonce) VALUES (1, '', 0, NULL)",
        ],
    )
    .await
}
