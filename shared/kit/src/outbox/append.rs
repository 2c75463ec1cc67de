//! Writing the feed: events at the end of a transaction, the heartbeat, and trimming.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::json;

use crate::{
    clock::{Clock, Timestamp},
    database::{Database, Event, StoreError},
    entropy::{self, Entropy},
    position::Position,
};

/// One statement, so that the lock on the counter is held for one round trip before the commit.
const APPEND_POSTGRES: &str = "
    WITH head AS (
        UPDATE feed_head SET revision = revision + $1::bigint WHERE id = 1 RETURNING epoch, revision
    ), appended AS (
        INSERT INTO feed_event (revision, kind, payload, nonce, created_at)
        SELECT head.revision - $1::bigint + e.ordinal, e.kind, e.payload, e.nonce, $2::bigint
        FROM head, jsonb_to_recordset($3::text::jsonb)
            AS e(ordinal bigint, kind text, payload text, nonce text)
    )
    SELECT epoch, revision FROM head";

const COUNT_SQLITE: &str =
    "UPDATE feed_head SET revision = revision + $1 WHERE id = 1 RETURNING epoch, revision";

const APPEND_SQLITE: &str = "
    INSERT INTO feed_event (revision, kind, payload, nonce, created_at)
    SELECT $1 + (value ->> 'ordinal'), value ->> 'kind', value ->> 'payload', value ->> 'nonce', $2
    FROM json_each($3)";

/// Appends events as the last act of a transaction and returns the position of the last of them.
pub(crate) async fn append(
    transaction: &impl ConnectionTrait,
    events: &[&Event],
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Position, DbErr> {
    let backend = transaction.get_database_backend();
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let rows = rows(events, entropy);
    let (statement, values) = match backend {
        DbBackend::Sqlite => (COUNT_SQLITE, vec![count.into()]),
        _ => (
            APPEND_POSTGRES,
            vec![count.into(), now.as_micros().into(), rows.clone().into()],
        ),
    };
    let head = transaction
        .query_one_raw(Statement::from_sql_and_values(backend, statement, values))
        .await?
        .ok_or_else(|| DbErr::Type("the feed has no head".to_owned()))?;
    let epoch: String = head.try_get("", "epoch")?;
    let revision: i64 = head.try_get("", "revision")?;
    if backend == DbBackend::Sqlite {
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
    Ok(Position::new(epoch, revision.unsigned_abs()))
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
