//! Who has which role, and who and what has which permission.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE user_roles (
                user_id {key} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                role_id {key} NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
                created_at bigint NOT NULL,
                PRIMARY KEY (user_id, role_id)
            )",
            "CREATE INDEX user_roles_by_role ON user_roles (role_id, user_id)",
            "CREATE TABLE user_permissions (
                user_id {key} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                permission_id {key} NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
                created_at bigint NOT NULL,
                PRIMARY KEY (user_id, permission_id)
            )",
            "CREATE INDEX user_permissions_by_permission ON user_permissions (permission_id, user_id)",
            "CREATE TABLE role_permissions (
                role_id {key} NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
                permission_id {key} NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
                created_at bigint NOT NULL,
                PRIMARY KEY (role_id, permission_id)
            )",
            "CREATE INDEX role_permissions_by_permission ON role_permissions (permission_id, role_id)",
        ],
    )
    .await
}
