//! Subscriptions, one a user.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait, sea_orm::DeriveMigrationName,
};

use super::run;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Only what has not ended yet is looked for by its end.
        run(
            manager,
            &[
                "CREATE TABLE subscriptions (
                    id {key} PRIMARY KEY,
                    user_id {key} NOT NULL CONSTRAINT subscriptions_user_unique UNIQUE
                        REFERENCES users (id) ON DELETE CASCADE,
                    plan {key} NOT NULL,
                    status text NOT NULL CHECK (status IN ('active', 'cancelled', 'expired')),
                    starts_at bigint NOT NULL,
                    ends_at bigint,
                    created_at bigint NOT NULL,
                    updated_at bigint NOT NULL,
                    version bigint NOT NULL
                )",
                "CREATE INDEX subscriptions_by_created ON subscriptions (created_at, id)",
                "CREATE INDEX subscriptions_by_plan_created ON subscriptions (plan, created_at, id)",
                "CREATE INDEX subscriptions_by_end ON subscriptions (ends_at)
                    WHERE ends_at IS NOT NULL AND status <> 'expired'",
            ],
        )
        .await
    }
}
