//! What lets a subject's row go without its generation ever falling.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(
                Table::alter()
                    .table("subjects")
                    .add_column(ColumnDef::new("due_at").big_integer().null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("subjects_due")
                    .table("subjects")
                    .col("due_at")
                    .and_where(Expr::col("due_at").is_not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("subject_floor")
                    .col(ColumnDef::new("id").integer().primary_key().not_null())
                    .col(ColumnDef::new("generation").big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        let connection = manager.get_connection();
        connection
            .execute_unprepared(
                "INSERT INTO subject_floor (id, generation) \
                SELECT 1, COALESCE(MAX(generation), 1) FROM subjects",
            )
            .await?;
        // Housekeeping looks at every row there is, once.
        connection
            .execute_unprepared("UPDATE subjects SET due_at = 0")
            .await?;
        Ok(())
    }
}
