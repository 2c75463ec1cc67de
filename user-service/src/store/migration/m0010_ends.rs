//! Until when a role or a direct permission is given.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    // Nearly everything that is given never ends, and costs the indexes nothing.
    run(
        transaction,
        &[
            "ALTER TABLE user_roles ADD COLUMN ends_at bigint",
            "CREATE INDEX user_roles_by_end ON user_roles (ends_at) WHERE ends_at IS NOT NULL",
            "ALTER TABLE user_permissions ADD COLUMN ends_at bigint",
            "CREATE INDEX user_permissions_by_end ON user_permissions (ends_at) WHERE ends_at IS NOT NULL",
        ],
    )
    .await
}
