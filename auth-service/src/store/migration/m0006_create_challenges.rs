//! Open steps of logins.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE challenges (
                id text NOT NULL PRIMARY KEY,
                secret_hash {binary} NOT NULL,
                kind text NOT NULL,
                user_id text NOT NULL,
                credential_version bigint NOT NULL,
                client_id text NOT NULL,
                ip_address text NOT NULL,
                user_agent text NOT NULL,
                expires_at bigint NOT NULL,
                attempts integer NOT NULL,
                claimed_until bigint
            )",
            "CREATE INDEX challenges_of_user ON challenges (user_id)",
            "CREATE INDEX challenges_expiring ON challenges (expires_at)",
        ],
    )
    .await
}
