//! Until when a role or a direct permission is given.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait, sea_orm::DeriveMigrationName,
};

use super::run;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Nearly everything that is given never ends, and costs the indexes nothing.
        run(
            manager,
            &[
                "ALTER TABLE user_roles ADD COLUMN ends_at bigint",
                "CREATE INDEX user_roles_by_end ON user_roles (ends_at) WHERE ends_at IS NOT NULL",
                "ALTER TABLE user_permissions ADD COLUMN ends_at bigint",
                "CREATE INDEX user_permissions_by_end ON user_permissions (ends_at) WHERE ends_at IS NOT NULL",
            ],
        )
        .await
    }
}
