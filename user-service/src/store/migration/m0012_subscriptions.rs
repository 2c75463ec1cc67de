//! Subscriptions, one a user.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    // Only what has not ended yet is looked for by its end.
    run(
        transaction,
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
