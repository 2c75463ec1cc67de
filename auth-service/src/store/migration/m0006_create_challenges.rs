//! Open steps of logins.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("challenges")
                    .col(ColumnDef::new("id").text().primary_key().not_null())
                    .col(ColumnDef::new("secret_hash").blob().not_null())
                    .col(ColumnDef::new("kind").text().not_null())
                    .col(ColumnDef::new("user_id").text().not_null())
                    .col(
                        ColumnDef::new("credential_version")
                            .big_integer()
                            .not_null(),
                    )
                    .col(ColumnDef::new("client_id").text().not_null())
                    .col(ColumnDef::new("ip_address").text().not_null())
                    .col(ColumnDef::new("user_agent").text().not_null())
                    .col(ColumnDef::new("expires_at").big_integer().not_null())
                    .col(ColumnDef::new("attempts").integer().not_null())
                    .col(ColumnDef::new("claimed_until").big_integer().null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("challenges_of_user")
                    .table("challenges")
                    .col("user_id")
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("challenges_expiring")
                    .table("challenges")
                    .col("expires_at")
                    .to_owned(),
            )
            .await
    }
}
