//! Attempts to log in.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE throttles (
                id {binary} NOT NULL PRIMARY KEY,
                attempts integer NOT NULL,
                window_started_at bigint NOT NULL,
                blocked_until bigint,
                blocks integer NOT NULL,
                forgotten_at bigint NOT NULL
            )",
            "CREATE INDEX throttles_forgotten ON throttles (forgotten_at)",
        ],
    )
    .await
}
