//! Reading the log: pages by time, with an index for every filter, and sealed parts opened for the reader.

use identity_guard::position::Position;
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Statement, Value};
use serde::{Deserialize, Serialize};

use super::{
    entry::{Act, Actor, ActorKind, Change, Details, Outcome, Subject},
    log::AuditLog,
    row::Row,
};
use crate::{clock::Timestamp, database::StoreError};

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditOrder {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

/// Which rows to list; `None` lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those of this actor.
    pub actor_id: Option<String>,
    /// Those on this subject.
    pub subject_id: Option<String>,
    /// Those of this act.
    pub action: Option<String>,
    /// Those that ended so.
    pub outcome: Option<Outcome>,
    /// Those at this moment or later.
    pub since: Option<Timestamp>,
    /// Those before this moment.
    pub until: Option<Timestamp>,
    /// In this order.
    pub order: AuditOrder,
}

/// A place in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCursor {
    /// Microseconds since the Unix epoch.
    pub at: i64,
    /// The sequence number, which orders rows of the same moment.
    pub sequence: i64,
}

/// What became of the sealed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// There was nothing to seal.
    Nothing,
    /// What it says.
    Open(Vec<Change>),
    /// Its key is gone with its subject, for good.
    Erased,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its place in the chain, from 1.
    pub sequence: u64,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Who did what to what.
    pub act: Act,
    /// Whether it was done.
    pub outcome: Outcome,
    /// The position of the feed that has it.
    pub position: Position,
    /// What changed, as far as it is not personal.
    pub changes: Vec<Change>,
    /// Facts that are no change, by name.
    pub facts: Vec<(String, String)>,
    /// What changed and is personal.
    pub sealed: Sealed,
    /// The hash of the row.
    pub hash: String,
}

impl AuditEvent {
    /// The place behind it.
    #[must_use]
    pub fn cursor(&self) -> AuditCursor {
        AuditCursor {
            at: self.created_at.as_micros(),
            sequence: i64::try_from(self.sequence).unwrap_or(i64::MAX),
        }
    }
}

/// The first `limit` rows that a filter lets through, behind a place.
///
/// # Errors
///
/// The database does not answer.
pub async fn list(
    connection: &impl ConnectionTrait,
    log: &AuditLog,
    filter: &AuditFilter,
    after: Option<&AuditCursor>,
    limit: u64,
) -> Result<Vec<AuditEvent>, StoreError> {
    let (sql, values) = query(filter, after, limit);
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| event(log, row)).collect()
}

/// The statement of a list. Each filter has an index that ends with the order of the list, but for two: a subject has
/// few rows, so that other filters look at all of them, and nearly all rows are of acts that were done.
pub(super) fn query(
    filter: &AuditFilter,
    after: Option<&AuditCursor>,
    limit: u64,
) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let mut wanted = Vec::new();
    let mut want = |condition: &str, value: Value| {
        values.push(value);
        wanted.push(condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(id) = &filter.subject_id {
        want("e.subject_id = ?", id.as_str().into());
    }
    match (&filter.actor_id, &filter.action, &filter.subject_id) {
        (None, None, _) => {}
        (Some(id), Some(name), None) => {
            // No action has a stroke in its name.
            want(
                "e.actor_id || '/' || e.action = ?",
                format!("{id}/{name}").into(),
            );
        }
        (Some(id), None, None) => want("e.actor_id = ?", id.as_str().into()),
        (None, Some(name), None) => want("e.action = ?", name.as_str().into()),
        (id, name, Some(_)) => {
            // An expression keeps the engines from the index of a column, where another is better.
            if let Some(id) = id {
                want("e.actor_id || '' = ?", id.as_str().into());
            }
            if let Some(name) = name {
                want("e.action || '' = ?", name.as_str().into());
            }
        }
    }
    if let Some(since) = filter.since {
        want("e.created_at >= ?", since.as_micros().into());
    }
    if let Some(until) = filter.until {
        want("e.created_at < ?", until.as_micros().into());
    }
    let (than, direction) = match filter.order {
        AuditOrder::Descending => ("<", "DESC"),
        AuditOrder::Ascending => (">", "ASC"),
    };
    if let Some(after) = after {
        let (at, sequence) = (values.len() + 1, values.len() + 2);
        values.extend([after.at.into(), after.sequence.into()]);
        wanted.push(format!(
            "(e.created_at, e.sequence) {than} (${at}, ${sequence})"
        ));
    }
    // Written out, so that the indexes of refusals alone are seen to fit.
    match (filter.outcome, &filter.subject_id) {
        (Some(Outcome::Refused), None) => wanted.push("e.outcome = 'refused'".to_owned()),
        (Some(outcome), _) => wanted.push(format!("e.outcome || '' = '{}'", outcome.as_str())),
        (None, _) => {}
    }
    let condition = if wanted.is_empty() {
        String::new()
    } else {
        format!("WHERE {}", wanted.join(" AND "))
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT e.*, (SELECT k.sealed_key FROM subject_keys k
            WHERE e.sealed IS NOT NULL AND k.subject = e.subject_kind || '/' || e.subject_id) AS sealed_key
         FROM audit_events e {condition}
         ORDER BY e.created_at {direction}, e.sequence {direction} LIMIT {limit}"
    );
    (sql, values)
}

fn event(log: &AuditLog, row: &QueryResult) -> Result<AuditEvent, StoreError> {
    let key: Option<String> = row.try_get("", "sealed_key")?;
    let row = Row::from_query_result(row, "")?;
    let corrupt = |what: &str| StoreError::Corrupt(format!("an audit event has {what}"));
    let details: Details = parse(row.details.as_bytes())?;
    let kind = ActorKind::from_stored(&row.actor_kind);
    let outcome = Outcome::from_stored(&row.outcome);
    let subject = Subject {
        kind: row.subject_kind.into(),
        id: row.subject_id,
    };
    let sealed = match row.sealed {
        None => Sealed::Nothing,
        Some(sealed) => open(log, &subject.key_name(), row.sequence, key, &sealed)?,
    };
    let actor = Actor {
        kind: kind.ok_or_else(|| corrupt("an unknown kind of actor"))?,
        id: row.actor_id,
        session_id: row.session_id,
    };
    Ok(AuditEvent {
        sequence: row.sequence.unsigned_abs(),
        created_at: Timestamp::from_micros(row.created_at),
        act: Act::new(actor, row.action)
            .by_request(row.request_id)
            .on(subject),
        outcome: outcome.ok_or_else(|| corrupt("an unknown outcome"))?,
        position: Position::new(row.epoch, row.revision.unsigned_abs()),
        changes: details.changes,
        facts: details.facts.into_iter().collect(),
        sealed,
        hash: row.hash,
    })
}

/// A part whose key is gone is erased. So is one that its key does not open, for whoever reads: the key is another one,
/// or the row was altered, which the chain tells.
fn open(
    log: &AuditLog,
    subject: &str,
    sequence: i64,
    key: Option<String>,
    sealed: &str,
) -> Result<Sealed, StoreError> {
    let Some(key) = key else {
        return Ok(Sealed::Erased);
    };
    let part = log
        .open_key(subject, &key)
        .and_then(|key| key.open(subject, sequence, sealed));
    let Ok(part) = part else {
        tracing::error!(
            sequence,
            "the sealed part of an audit event cannot be opened"
        );
        return Ok(Sealed::Erased);
    };
    let details: Details = parse(&part)?;
    Ok(Sealed::Open(details.changes))
}

fn parse(text: &[u8]) -> Result<Details, StoreError> {
    // What is wrong with it could show what it says.
    serde_json::from_slice(text)
        .map_err(|_| StoreError::Corrupt("the details of an audit event are no JSON".to_owned()))
}

#[cfg(test)]
mod tests;
