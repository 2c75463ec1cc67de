//! The keys that sign access tokens.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE signing_keys (
                id text NOT NULL PRIMARY KEY,
                algorithm text NOT NULL,
                state text NOT NULL,
                public_jwk text NOT NULL,
                private_sealed {binary} NOT NULL,
                created_at bigint NOT NULL,
                activated_at bigint,
                expires_at bigint
            )",
            // One key signs: of two replicas that make the first one at once, one fails here and takes the other's.
            "CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active'",
        ],
    )
    .await
}
