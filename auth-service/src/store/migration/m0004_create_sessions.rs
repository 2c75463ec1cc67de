//! Where users are logged in.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("sessions")
                    .col(ColumnDef::new("id").text().primary_key().not_null())
                    .col(ColumnDef::new("user_id").text().not_null())
                    .col(ColumnDef::new("client_id").text().not_null())
                    .col(ColumnDef::new("ip_address").text().not_null())
                    .col(ColumnDef::new("user_agent").text().not_null())
                    .col(ColumnDef::new("generation").big_integer().not_null())
                    .col(ColumnDef::new("amr").text().not_null())
                    .col(ColumnDef::new("authenticated_at").big_integer().not_null())
                    .col(ColumnDef::new("created_at").big_integer().not_null())
                    .col(ColumnDef::new("refreshed_at").big_integer().not_null())
                    .col(ColumnDef::new("idle_expires_at").big_integer().not_null())
                    .col(ColumnDef::new("expires_at").big_integer().not_null())
                    .col(ColumnDef::new("token_expires_at").big_integer().not_null())
                    .col(ColumnDef::new("ended_at").big_integer().null())
                    .col(ColumnDef::new("current_token_id").text().not_null())
                    .col(ColumnDef::new("rotated_token_id").text().null())
                    .col(ColumnDef::new("rotated_at").big_integer().null())
                    .col(ColumnDef::new("rotation_request_id").text().null())
                    .col(
                        ColumnDef::new("rotation_retries")
                            .integer()
                            .not_null()
                            .default(0),
                    )
                    .col(ColumnDef::new("sealed_successor").blob().null())
                    .col(ColumnDef::new("due_at").big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("sessions_of_user")
                    .table("sessions")
                    .col("user_id")
                    .col("created_at")
                    .col("id")
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("sessions_due")
                    .table("sessions")
                    .col("due_at")
                    .to_owned(),
            )
            .await?;
        // For the snapshot of the feed: few rows, since the ended go when their last token has.
        manager
            .create_index(
                Index::create()
                    .name("sessions_ended")
                    .table("sessions")
                    .col("token_expires_at")
                    .and_where(Expr::col("ended_at").is_not_null())
                    .to_owned(),
            )
            .await
    }
}
