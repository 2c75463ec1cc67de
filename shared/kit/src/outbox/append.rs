//! Writing the feed: events at the end of a transaction, the heartbeat, and trimming.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::json;

use crate::{
    audit::{self, AuditLog, Entry},
    clock::{Clock, Timestamp},
    database::{Database, Event, StoreError},
    entropy::{self, Entropy},
    position::Position,
};

/// One statement, so that the lock on the counter is held for one round trip before the commit.
macro_rules! append_postgres {
    ($read:literal) => {
        concat!(
            "WITH head AS (
                UPDATE feed_head SET revision = revision + $1::bigint WHERE id = 1 RETURNING *
            ), appended AS (
                INSERT INTO feed_event (revision, kind, payload, nonce, created_at)
                SELECT head.revision - $1::bigint + e.ordinal, e.kind, e.payload, e.nonce, $2::bigint
                FROM head, jsonb_to_recordset($3::text::jsonb)
                    AS e(ordinal bigint, kind text, payload text, nonce text)
            )
            SELECT ",
            $read,
            " FROM head"
        )
    };
}

const APPEND_POSTGRES: &str = append_postgres!("epoch, revision");

/// The same, with what the audit log needs. The keys are read as of before the wait for the lock; that is late enough,
/// since who changes one has locked the row of its subject first.
const APPEND_AUDITED_POSTGRES: &str = append_postgres!(
    "head.*, (SELECT json_object_agg(k.subject, k.sealed_key)::text FROM subject_keys k
        WHERE k.subject IN (SELECT jsonb_array_elements_text($4::text::jsonb))) AS subject_keys"
);

const COUNT_SQLITE: &str = "UPDATE feed_head SET revision = revision + $1 WHERE id = 1 RETURNING *";

const APPEND_SQLITE: &str = "
    INSERT INTO feed_event (revision, kind, payload, nonce, created_at)
    SELECT $1 + (value ->> 'ordinal'), value ->> 'kind', value ->> 'payload', value ->> 'nonce', $2
    FROM json_each($3)";

/// What a write tells: events for the feed, entries for the audit log.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
    pub(crate) entries: Vec<(Arc<AuditLog>, Entry)>,
}

/// Appends what writes tell as the last act of their transaction, and returns the position of the last event; `None`
/// when there is none.
pub(crate) async fn append(
    transaction: &impl ConnectionTrait,
    writes: &[&Told],
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Option<Position>, DbErr> {
    let events: Vec<&Event> = writes.iter().flat_map(|told| &told.events).collect();
    let entries = entries(writes);
    if events.is_empty() && entries.is_empty() {
        return Ok(None);
    }
    let backend = transaction.get_database_backend();
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let rows = rows(&events, entropy);
    let names = audit::key_names(&entries);
    let mut values = vec![count.into()];
    let mut statement = COUNT_SQLITE;
    if backend != DbBackend::Sqlite {
        values.extend([now.as_micros().into(), rows.clone().into()]);
        statement = APPEND_POSTGRES;
        if !entries.is_empty() {
            values.push(names.as_deref().unwrap_or("[]").into());
            statement = APPEND_AUDITED_POSTGRES;
        }
    }
    let head = transaction
        .query_one_raw(Statement::from_sql_and_values(backend, statement, values))
        .await?
        .ok_or_else(|| DbErr::Type("the feed has no head".to_owned()))?;
    let epoch: String = head.try_get("", "epoch")?;
    let revision: i64 = head.try_get("", "revision")?;
    if backend == DbBackend::Sqlite && count > 0 {
        // The writer holds the only lock there is, so a second statement loses nothing.
        let values = vec![
            (revision - count).into(),
            now.as_micros().into(),
            rows.into(),
        ];
        transaction
            .execute_raw(Statement::from_sql_and_values(
                backend,
                APPEND_SQLITE,
                values,
            ))
            .await?;
    }
    if !entries.is_empty() {
        let keys = audit::keys(transaction, &head, names).await?;
        let before = (epoch.as_str(), revision - count);
        let rows = audit::rows(
            &entries,
            audit::Head::of(&head)?,
            keys,
            before,
            now,
            entropy,
        )?;
        audit::write(transaction, rows).await?;
    }
    Ok((count > 0).then(|| Position::new(epoch, revision.unsigned_abs())))
}

/// The entries of all writes, each with how many events there are up to the end of its write.
fn entries<'a>(writes: &[&'a Told]) -> Vec<(u64, &'a (Arc<AuditLog>, Entry))> {
    let mut events = 0;
    let mut entries = Vec::new();
    for told in writes {
        events += told.events.len() as u64;
        entries.extend(told.entries.iter().map(|entry| (events, entry)));
    }
    entries
}

/// The events as one JSON text, so that one prepared statement serves any number of them.
fn rows(events: &[&Event], entropy: &dyn Entropy) -> String {
    let rows = events.iter().zip(1_u64..).map(|(event, ordinal)| {
        json!({
            "ordinal": ordinal,
            "kind": event.kind,
            "payload": event.payload.to_string(),
            // Tells this event from one of another life of the database with the same revision.
            "nonce": URL_SAFE_NO_PAD.encode(entropy::bytes::<12>(entropy)),
        })
    });
    serde_json::Value::Array(rows.collect()).to_string()
}

/// Most events that one transaction removes.
const TRIMMED_AT_ONCE: u64 = 5_000;

/// Commits a heartbeat unless one was committed within the last second; whether it did.
///
/// A commit proves what no SELECT can: that this server is still the one that takes writes.
///
/// # Errors
///
/// The database does not take it.
pub async fn beat(database: &Database, clock: &dyn Clock) -> Result<bool, StoreError> {
    let now = clock.now();
    commit_heartbeat(database, now, now.minus(Duration::from_secs(1))).await
}

/// Commits a heartbeat whenever the last one was, for a follower that waits for the proof.
pub(super) async fn beat_now(database: &Database, clock: &dyn Clock) -> Result<bool, StoreError> {
    commit_heartbeat(database, clock.now(), Timestamp::from_micros(i64::MAX)).await
}

async fn commit_heartbeat(
    database: &Database,
    now: Timestamp,
    unless_after: Timestamp,
) -> Result<bool, StoreError> {
    // A heartbeat from the future was set by a clock that ran ahead, and must not silence the others.
    let absurd = now.plus(Duration::from_secs(5));
    let written = database
        .write(move |transaction| {
            Box::pin(async move {
                let beaten = transaction
                    .execute_raw(Statement::from_sql_and_values(
                        transaction.get_database_backend(),
                        // Followers look for a change, so that even a clock that stands still must make one.
                        "UPDATE feed_head
                         SET heartbeat_at = CASE WHEN heartbeat_at = $1 THEN $1 + 1 ELSE $1 END
                         WHERE id = 1 AND (heartbeat_at <= $2 OR heartbeat_at > $3)",
                        [now, unless_after, absurd].map(|at| at.as_micros().into()),
                    ))
                    .await?;
                Ok::<_, StoreError>(beaten.rows_affected() > 0)
            })
        })
        .await?;
    Ok(written.value)
}

/// Removes events from before `older_than`, never the last one, and raises the floor; returns how many. It does so in
/// transactions of bounded size, which touch the counter's row last.
///
/// # Errors
///
/// The database does not take it.
pub async fn trim(database: &Database, older_than: Timestamp) -> Result<u64, StoreError> {
    let mut trimmed = 0;
    loop {
        let part = trim_part(database, older_than).await?;
        trimmed += part;
        if part < TRIMMED_AT_ONCE {
            return Ok(trimmed);
        }
    }
}

async fn trim_part(database: &Database, older_than: Timestamp) -> Result<u64, StoreError> {
    // The lowest revision that a cursor may still name: the oldest event that is young enough, or the last one.
    const BOUNDS: &str = "SELECT
            COALESCE((SELECT MIN(revision) FROM feed_event), revision) AS oldest,
            COALESCE((SELECT MIN(revision) FROM feed_event WHERE created_at >= $1), revision) AS kept
        FROM feed_head WHERE id = 1";
    let written = database
        .write(move |transaction| {
            Box::pin(async move {
                let backend = transaction.get_database_backend();
                let statement =
                    |sql, value: i64| Statement::from_sql_and_values(backend, sql, [value.into()]);
                let bounds = transaction
                    .query_one_raw(statement(BOUNDS, older_than.as_micros()))
                    .await?
                    .ok_or_else(|| StoreError::Corrupt("the feed has no head".into()))?;
                let oldest: i64 = bounds.try_get("", "oldest")?;
                let kept: i64 = bounds.try_get("", "kept")?;
                let part = i64::try_from(TRIMMED_AT_ONCE).unwrap_or(i64::MAX);
                let floor = kept.min(oldest.saturating_add(part));
                if floor <= oldest {
                    return Ok::<_, StoreError>(0);
                }
                let deleted = transaction
                    .execute_raw(statement(
                        "DELETE FROM feed_event WHERE revision < $1",
                        floor,
                    ))
                    .await?;
                transaction
                    .execute_raw(statement(
                        "UPDATE feed_head SET floor = $1 WHERE id = 1",
                        floor,
                    ))
                    .await?;
                Ok(deleted.rows_affected())
            })
        })
        .await?;
    Ok(written.value)
}
