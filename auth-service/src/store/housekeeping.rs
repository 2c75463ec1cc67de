//! What time has made meaningless, removed in batches that an index finds.

use std::time::Duration;

use identity_guard::clock::{self, Timestamp};
use identity_kit::database::{Database, StoreError};
use sea_orm::ConnectionTrait as _;

use super::values::{micros, statement};

/// Rows of one transaction: short enough that nobody waits for it.
const BATCH: i64 = 500;

// Sealed successors whose window is over; such a row comes up again when the session needs no memory any more.
const UNSEAL: &str = "\
    UPDATE sessions SET sealed_successor = NULL, due_at = $3 + CASE \
        WHEN token_expires_at > idle_expires_at THEN token_expires_at ELSE idle_expires_at END \
    WHERE id IN (SELECT id FROM sessions \
        WHERE due_at <= $1 AND sealed_successor IS NOT NULL ORDER BY due_at LIMIT $2) \
        AND due_at <= $1";
const SESSIONS: &str = "\
    DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
        WHERE due_at <= $1 AND sealed_successor IS NULL ORDER BY due_at LIMIT $2) AND due_at <= $1";
const REFRESH_TOKENS: &str = "\
    DELETE FROM refresh_tokens WHERE id IN (SELECT id FROM refresh_tokens \
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
const CHALLENGES: &str = "\
    DELETE FROM challenges WHERE id IN (SELECT id FROM challenges \
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
const THROTTLES: &str = "\
    DELETE FROM throttles WHERE id IN (SELECT id FROM throttles \
        WHERE forgotten_at <= $1 ORDER BY forgotten_at LIMIT $2) AND forgotten_at <= $1";

/// Removes what is over; gives the number of rows that were touched.
///
/// # Errors
///
/// Those of the store; what was removed before stays removed.
pub async fn sweep(
    database: &Database,
    now: Timestamp,
    leeway: Duration,
) -> Result<u64, StoreError> {
    let leeway = clock::micros(leeway);
    let mut touched = 0;
    for sql in [UNSEAL, SESSIONS, REFRESH_TOKENS, CHALLENGES, THROTTLES] {
        loop {
            let written = database
                .write(move |transaction| {
                    Box::pin(async move {
                        let mut values = vec![micros(now), BATCH.into()];
                        if sql == UNSEAL {
                            values.push(leeway.into());
                        }
                        let done = transaction
                            .execute_raw(statement(transaction, sql, values))
                            .await?;
                        Ok::<_, StoreError>(done.rows_affected())
                    })
                })
                .await?;
            touched += written.value;
            if written.value < BATCH.unsigned_abs() {
                break;
            }
        }
    }
    Ok(touched)
}
