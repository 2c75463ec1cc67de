//! Permissions.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &["CREATE TABLE permissions (
                id {key} PRIMARY KEY,
                name {key} NOT NULL UNIQUE,
                description text NOT NULL,
                built_in boolean NOT NULL,
                created_at bigint NOT NULL,
                updated_at bigint NOT NULL,
                version bigint NOT NULL
            )"],
    )
    .await
}
