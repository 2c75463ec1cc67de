//! An account that was begun has no password any more: whoever proves its address chooses it then.

use identity_kit::migrate::run;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr};

/// SQLite drops no column that a check names, so the table is made anew. What waits goes on waiting.
const SQLITE: [&str; 7] = [
    "CREATE TABLE email_proofs_anew (
        id text PRIMARY KEY,
        user_id text NOT NULL CONSTRAINT email_proofs_user_unique UNIQUE,
        email text NOT NULL,
        email_key text NOT NULL,
        username text,
        username_key text CONSTRAINT email_proofs_username_unique UNIQUE,
        first_name text,
        last_name text,
        secret_hash text,
        claims integer NOT NULL,
        claimed_until bigint NOT NULL,
        expires_at bigint NOT NULL
    )",
    "INSERT INTO email_proofs_anew (id, user_id, email, email_key, username, username_key, first_name, last_name,
        secret_hash, claims, claimed_until, expires_at)
     SELECT id, user_id, email, email_key, username, username_key, first_name, last_name,
        secret_hash, claims, claimed_until, expires_at FROM email_proofs",
    "DROP TABLE email_proofs",
    "ALTER TABLE email_proofs_anew RENAME TO email_proofs",
    "CREATE INDEX email_proofs_by_claim ON email_proofs (claimed_until, id)",
    "CREATE INDEX email_proofs_by_expiry ON email_proofs (expires_at, id)",
    "CREATE INDEX email_proofs_by_email ON email_proofs (email_key)",
];

/// The check goes with the column.
const POSTGRES: [&str; 1] = ["ALTER TABLE email_proofs DROP COLUMN password_hash"];

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    match transaction.get_database_backend() {
        DbBackend::Postgres => run(transaction, &POSTGRES).await,
        _ => run(transaction, &SQLITE).await,
    }
}
