//! Password hashes.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &["CREATE TABLE credentials (
                user_id {key} PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
                password_hash text,
                change_required boolean NOT NULL,
                version bigint NOT NULL,
                operation_id text,
                updated_at bigint NOT NULL
            )"],
    )
    .await
}
