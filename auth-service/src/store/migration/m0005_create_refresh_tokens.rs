//! Every refresh token that was given, so that a used one is known again.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE refresh_tokens (
                id text NOT NULL PRIMARY KEY,
                session_id text NOT NULL,
                secret_hash {binary} NOT NULL,
                expires_at bigint NOT NULL
            )",
            "CREATE INDEX refresh_tokens_expiring ON refresh_tokens (expires_at)",
        ],
    )
    .await
}
