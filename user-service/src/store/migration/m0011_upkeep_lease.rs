//! Which process does what is done beside the calls.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait, sea_orm::DeriveMigrationName,
};

use super::run;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &[
                "CREATE TABLE upkeep_lease (
                    id integer PRIMARY KEY CHECK (id = 1),
                    holder text NOT NULL,
                    held_until bigint NOT NULL
                )",
                "INSERT INTO upkeep_lease (id, holder, held_until) VALUES (1, '', 0)",
            ],
        )
        .await
    }
}
