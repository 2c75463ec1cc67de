//! Reading the feed from a cursor, which proves on every read that it is still in the same history.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use crate::{clock::Timestamp, database::StoreError, position::Position};

/// The state of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The life of the database; new after a restore.
    pub epoch: String,
    /// The last revision given.
    pub revision: u64,
    /// The lowest revision from which the feed can be followed.
    pub floor: u64,
    /// The last committed heartbeat.
    pub heartbeat_at: Timestamp,
}

/// How far a follower has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its position.
    pub position: Position,
    /// The nonce of the event at that position; `None` before the first event.
    pub nonce: Option<String>,
}

/// An event as it stands in the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its position; each event has one of its own.
    pub position: Position,
    /// Random: tells it from an event of another history at the same position.
    pub nonce: String,
    /// What happened.
    pub kind: String,
    /// To whom.
    pub payload: serde_json::Value,
    /// When its transaction was about to commit.
    pub created_at: Timestamp,
}

impl StoredEvent {
    /// The cursor of a follower that has taken this event.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            position: self.position.clone(),
            nonce: Some(self.nonce.clone()),
        }
    }
}

/// What a cursor leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// The events that follow it, in order and without a gap; none when it is at the end.
    Events {
        /// The head in the same snapshot.
        head: Head,
        /// The events.
        events: Vec<StoredEvent>,
    },
    /// It belongs to another history or lies below the floor: begin anew with a snapshot.
    Reset,
}

/// The head of the feed and the cursor there.
///
/// # Errors
///
/// The database does not answer, or has no feed.
pub async fn head(connection: &impl ConnectionTrait) -> Result<(Head, Cursor), StoreError> {
    let row = connection
        .query_one_raw(Statement::from_string(
            connection.get_database_backend(),
            "SELECT h.epoch, h.revision AS head, h.floor, h.heartbeat_at, e.nonce
             FROM feed_head h LEFT JOIN feed_event e ON e.revision = h.revision WHERE h.id = 1",
        ))
        .await?
        .ok_or_else(no_head)?;
    let head = head_of(&row)?;
    let cursor = Cursor {
        position: Position::new(head.epoch.clone(), head.revision),
        nonce: row.try_get("", "nonce")?,
    };
    Ok((head, cursor))
}

/// At most `limit` events after a cursor.
///
/// One statement reads the head, the cursor's own event and those that follow, so no restore can come between.
///
/// # Errors
///
/// The database does not answer, or the feed is damaged.
pub async fn read(
    connection: &impl ConnectionTrait,
    cursor: &Cursor,
    limit: u64,
) -> Result<Read, StoreError> {
    let from = cursor.position.revision;
    let rows = connection
        .query_all_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT h.epoch, h.revision AS head, h.floor, h.heartbeat_at,
                    e.revision, e.kind, e.payload, e.nonce, e.created_at
             FROM feed_head h LEFT JOIN feed_event e ON e.revision >= $1
             WHERE h.id = 1 ORDER BY e.revision LIMIT $2",
            [signed(from).into(), signed(limit.saturating_add(1)).into()],
        ))
        .await?;
    let head = head_of(rows.first().ok_or_else(no_head)?)?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        // The join leaves one row without an event when there is none.
        if row.try_get::<Option<i64>>("", "revision")?.is_some() {
            events.push(event_of(row, &head.epoch)?);
        }
    }
    if from > 0 && !events.is_empty() {
        let own = events.remove(0);
        if own.cursor() != *cursor {
            return Ok(Read::Reset);
        }
    } else if from > 0 {
        return Ok(Read::Reset);
    }
    let unbroken = events
        .iter()
        .zip(from + 1..)
        .all(|(event, revision)| event.position.revision == revision);
    let missing = events.is_empty() && head.revision > from;
    if head.epoch != cursor.position.epoch || from < head.floor || !unbroken || missing {
        return Ok(Read::Reset);
    }
    Ok(Read::Events { head, events })
}

/// At most `limit` events above a revision, whatever history it is from.
///
/// # Errors
///
/// The database does not answer, or the feed is damaged.
pub async fn read_after(
    connection: &impl ConnectionTrait,
    revision: u64,
    limit: u64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let rows = connection
        .query_all_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT h.epoch, e.revision, e.kind, e.payload, e.nonce, e.created_at
             FROM feed_event e JOIN feed_head h ON h.id = 1
             WHERE e.revision > $1 ORDER BY e.revision LIMIT $2",
            [signed(revision).into(), signed(limit).into()],
        ))
        .await?;
    rows.iter()
        .map(|row| event_of(row, &row.try_get::<String>("", "epoch")?))
        .collect()
}

fn head_of(row: &QueryResult) -> Result<Head, StoreError> {
    Ok(Head {
        epoch: row.try_get("", "epoch")?,
        revision: unsigned(row.try_get("", "head")?)?,
        floor: unsigned(row.try_get("", "floor")?)?,
        heartbeat_at: Timestamp::from_micros(row.try_get("", "heartbeat_at")?),
    })
}

fn event_of(row: &QueryResult, epoch: &str) -> Result<StoredEvent, StoreError> {
    let payload: String = row.try_get("", "payload")?;
    Ok(StoredEvent {
        position: Position::new(epoch, unsigned(row.try_get("", "revision")?)?),
        nonce: row.try_get("", "nonce")?,
        kind: row.try_get("", "kind")?,
        payload: serde_json::from_str(&payload)
            .map_err(|error| StoreError::Corrupt(format!("payload of an event: {error}")))?,
        created_at: Timestamp::from_micros(row.try_get("", "created_at")?),
    })
}

fn no_head() -> DbErr {
    DbErr::Type("the feed has no head".to_owned())
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("revision {value}")))
}
