//! Addresses that wait to be proven, and how often somebody has asked for that.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    // A user to be is none yet, so `user_id` refers to nobody; of each there is one proof, the latest.
    run(
        transaction,
        &[
            "CREATE TABLE email_proofs (
                id {key} PRIMARY KEY,
                user_id {key} NOT NULL CONSTRAINT email_proofs_user_unique UNIQUE,
                email text NOT NULL,
                email_key {key} NOT NULL,
                username text,
                username_key {key} CONSTRAINT email_proofs_username_unique UNIQUE,
                first_name text,
                last_name text,
                password_hash text,
                secret_hash text,
                claims integer NOT NULL,
                claimed_until bigint NOT NULL,
                expires_at bigint NOT NULL,
                CHECK ((username IS NULL) = (password_hash IS NULL))
            )",
            "CREATE INDEX email_proofs_by_claim ON email_proofs (claimed_until, id)",
            "CREATE INDEX email_proofs_by_expiry ON email_proofs (expires_at, id)",
            "CREATE INDEX email_proofs_by_email ON email_proofs (email_key)",
            "CREATE TABLE asking_budgets (
                asker {key} NOT NULL,
                hour bigint NOT NULL,
                spent bigint NOT NULL,
                PRIMARY KEY (asker, hour)
            )",
            "CREATE INDEX asking_budgets_by_hour ON asking_budgets (hour, asker)",
        ],
    )
    .await
}
