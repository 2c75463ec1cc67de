//! Where users are logged in.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE sessions (
                id text NOT NULL PRIMARY KEY,
                user_id text NOT NULL,
                client_id text NOT NULL,
                ip_address text NOT NULL,
                user_agent text NOT NULL,
                generation bigint NOT NULL,
                amr text NOT NULL,
                authenticated_at bigint NOT NULL,
                created_at bigint NOT NULL,
                refreshed_at bigint NOT NULL,
                idle_expires_at bigint NOT NULL,
                expires_at bigint NOT NULL,
                token_expires_at bigint NOT NULL,
                ended_at bigint,
                current_token_id text NOT NULL,
                rotated_token_id text,
                rotated_at bigint,
                rotation_request_id text,
                rotation_retries integer NOT NULL DEFAULT 0,
                sealed_successor {binary},
                due_at bigint NOT NULL
            )",
            "CREATE INDEX sessions_of_user ON sessions (user_id, created_at, id)",
            "CREATE INDEX sessions_due ON sessions (due_at)",
            // For the snapshot of the feed: few rows, since the ended go when their last token has.
            "CREATE INDEX sessions_ended ON sessions (token_expires_at) WHERE ended_at IS NOT NULL",
        ],
    )
    .await
}
