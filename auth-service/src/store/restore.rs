//! What makes of a database that was put back to an earlier copy one that can be served.
//!
//! Such a copy does not know which sessions, generations and keys came after it, and which of its own were ended. So
//! nothing of what it knows is believed any more: every session goes, with refresh tokens and challenges; every
//! generation is raised far above any that was ever given, and so no revocation that a guard still remembers refuses
//! what is minted from now on; and every key is withdrawn, so that no access token from before verifies anywhere, also
//! none that was minted after the copy was taken.

use std::sync::Arc;

use identity_guard::clock::Timestamp;
use identity_kit::{
    database::{Database, StoreError, WriteTransaction},
    outbox,
};
use sea_orm::{ConnectionTrait, DbBackend, Value};

use super::{
    events,
    keys::{self, SealedKey},
    values::{micros, statement, to_count},
};
use crate::domain::{event::AccessEvent, policy::SessionPolicy, signing_key::KeyState};

/// How much generations rise: more than all credentials of one user can have been ended since the copy.
const RISE: i64 = 1 << 32;

/// What takes the place of the lost end of a database.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The new epoch of the feed.
    pub epoch: String,
    /// An epoch that the copy knows nothing of, since it was taken before.
    pub lost_epoch: Option<String>,
    /// The key that signs from now on.
    pub key: SealedKey,
}

/// What was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// Sessions that had not ended.
    pub sessions: u64,
    /// Keys that were not withdrawn.
    pub keys: u64,
}

/// Ends everything that the copy knows and begins anew, all in one transaction.
///
/// # Errors
///
/// Those of the store.
pub async fn renew(
    database: &Database,
    renewal: Renewal,
    policy: &SessionPolicy,
    now: Timestamp,
) -> Result<Renewed, StoreError> {
    let work = Arc::new((renewal, policy.clone()));
    let written = database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (renewal, policy) = (&work.0, &work.1);
                lock(transaction).await?;
                let sessions = end_everything(transaction).await?;
                raise_generations(transaction, now.plus(policy.subject_rest())).await?;
                let last_token_at = now.plus(policy.access_token_life).plus(policy.leeway);
                let keys = withdraw_keys(transaction, last_token_at).await?;
                keys::insert(transaction, &renewal.key).await?;
                let key_id = renewal.key.key.id.clone();
                events::emit(transaction, &AccessEvent::SigningKeyChanged { key_id });
                forget_user_feed(transaction).await?;
                outbox::begin_restore(transaction).await?;
                let lost = renewal.lost_epoch.as_deref();
                outbox::finish_restore(transaction, lost, &renewal.epoch, now).await?;
                Ok::<_, StoreError>(Renewed { sessions, keys })
            })
        })
        .await?;
    Ok(written.value)
}

/// Lets nobody log in or refresh until the transaction ends; `SQLite` writes one after the other anyway.
async fn lock(transaction: &WriteTransaction) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        const LOCK: &str =
            "LOCK TABLE subjects, sessions, refresh_tokens, challenges IN SHARE ROW EXCLUSIVE MODE";
        run(transaction, LOCK, []).await?;
    }
    Ok(())
}

/// Removes sessions, refresh tokens and challenges; how many sessions had not ended.
async fn end_everything(transaction: &WriteTransaction) -> Result<u64, StoreError> {
    run(transaction, "DELETE FROM challenges", []).await?;
    run(transaction, "DELETE FROM refresh_tokens", []).await?;
    let ended = "DELETE FROM sessions WHERE ended_at IS NOT NULL";
    run(transaction, ended, []).await?;
    run(transaction, "DELETE FROM sessions", []).await
}

/// Raises the generation of every subject, also of those without a row. Rows that nobody needs go after a while.
async fn raise_generations(
    transaction: &WriteTransaction,
    due_at: Timestamp,
) -> Result<(), StoreError> {
    // One number for all: a row that stays is at the floor and can go.
    const FLOOR: &str = "\
        UPDATE subject_floor SET generation = $1 + CASE \
            WHEN generation < (SELECT COALESCE(MAX(generation), 0) FROM subjects) \
            THEN (SELECT MAX(generation) FROM subjects) ELSE generation END \
        WHERE id = 1 RETURNING generation";
    let row = transaction
        .query_one_raw(statement(transaction, FLOOR, [RISE.into()]))
        .await?
        .ok_or_else(|| StoreError::Corrupt("the floor of generations is missing".to_owned()))?;
    let generation: i64 = row.try_get("", "generation")?;
    to_count(generation, "generation")?;
    let raise = "UPDATE subjects SET generation = $1, \
        due_at = CASE WHEN retain_until IS NULL THEN $2 END";
    run(transaction, raise, [generation.into(), micros(due_at)]).await?;
    Ok(())
}

/// Withdraws every key and forgets the private halves; how many were not withdrawn before.
async fn withdraw_keys(
    transaction: &WriteTransaction,
    last_token_at: Timestamp,
) -> Result<u64, StoreError> {
    let withdrawn = KeyState::Withdrawn.as_str();
    run(
        transaction,
        "UPDATE signing_keys SET state = $1, private_sealed = $2, \
            expires_at = CASE WHEN expires_at IS NULL OR expires_at > $3 THEN $3 ELSE expires_at END \
        WHERE state <> $1",
        [withdrawn.into(), Vec::<u8>::new().into(), micros(last_token_at)],
    )
    .await
}

/// Lets the changes of users be taken from a snapshot again, with a look at everybody who has a session then.
async fn forget_user_feed(transaction: &WriteTransaction) -> Result<(), StoreError> {
    let forget = "UPDATE user_feed SET epoch = '', revision = 0, nonce = NULL WHERE id = 1";
    run(transaction, forget, []).await?;
    Ok(())
}

async fn run<const N: usize>(
    transaction: &WriteTransaction,
    sql: &'static str,
    values: [Value; N],
) -> Result<u64, StoreError> {
    let done = transaction
        .execute_raw(statement(transaction, sql, values))
        .await?;
    Ok(done.rows_affected())
}
