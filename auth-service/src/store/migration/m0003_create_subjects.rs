//! What holds for all credentials of a user: the generation, and how new their rights were.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE subjects (
                user_id text NOT NULL PRIMARY KEY,
                generation bigint NOT NULL,
                user_epoch text NOT NULL,
                user_revision bigint NOT NULL,
                retain_until bigint
            )",
            "CREATE INDEX subjects_revoked ON subjects (retain_until) WHERE retain_until IS NOT NULL",
        ],
    )
    .await
}
