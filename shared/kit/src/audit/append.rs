//! Making rows of entries at the end of a transaction, while the row of the head is locked.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use sea_orm::{DbErr, QueryResult};
use serde_json::json;

use super::{
    entry::{Details, Entry, Record},
    log::{AuditLog, SubjectKey, is_same},
    row::Row,
};
use crate::{clock::Timestamp, entropy::Entropy};

/// By how much a row may bear the time of the one before it, which another clock gave: the order of times is then the
/// order of the chain. A clock that is further ahead is wrong, and is not followed.
const SMOOTHED: Duration = Duration::from_secs(10);

/// The entries of a transaction, each with how many events of the feed there are up to it.
pub(crate) type Entries<'a> = [(u64, &'a (Arc<AuditLog>, Entry))];

/// The head of the chain, as the row of the feed has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: i64,
    pub(crate) hash: String,
    pub(crate) tag: String,
    pub(crate) at: i64,
}

impl Head {
    /// The head in a row of the feed.
    pub(crate) fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            sequence: row.try_get("", "audit_sequence")?,
            hash: row.try_get("", "audit_hash")?,
            tag: row.try_get("", "audit_tag")?,
            at: row.try_get("", "audit_at")?,
        })
    }

    /// Whether the log made this head. A chain that has not begun has none.
    pub(super) fn is_sound(&self, log: &AuditLog) -> bool {
        let tag = log.head_tag(self.sequence, &self.hash, self.at);
        self.sequence == 0 || is_same(&tag, &self.tag)
    }
}

/// What is to be written, as JSON texts, and the head after it.
pub(crate) struct Rows {
    pub(crate) events: String,
    pub(crate) keys: Option<String>,
    pub(crate) erased: Option<String>,
    pub(crate) head: Head,
}

/// The names of the keys that the entries may need, as a JSON text; `None` when they need none.
pub(crate) fn key_names(entries: &Entries<'_>) -> Option<String> {
    let names: BTreeSet<String> = entries
        .iter()
        .map(|(_, (_, entry))| entry)
        .filter(|entry| !entry.record.personal.is_empty())
        .map(|entry| entry.act.subject.key_name())
        .collect();
    (!names.is_empty()).then(|| json!(names).to_string())
}

/// Makes the rows that follow a head, whose first event of the feed has the revision after `revision`.
pub(crate) fn rows(
    entries: &Entries<'_>,
    head: Head,
    kept: HashMap<String, String>,
    (epoch, revision): (&str, i64),
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Rows, DbErr> {
    let mut keys = Keys {
        kept,
        by_subject: HashMap::new(),
        made: HashMap::new(),
        erased: BTreeSet::new(),
    };
    let mut rows = Vec::with_capacity(entries.len());
    let mut end = head;
    for (position, (events, (log, entry))) in entries.iter().enumerate() {
        if position == 0 && !end.is_sound(log) {
            tracing::error!(
                sequence = end.sequence,
                "the head of the audit log was tampered with, or the root secret is another one"
            );
            end.hash = log.break_hash(end.sequence, &end.hash, &end.tag);
        }
        let row = row(log, entry, &end, &mut keys, now, entropy)?;
        let row = Row {
            epoch: epoch.to_owned(),
            revision: revision.saturating_add_unsigned(*events),
            ..row
        };
        let row = Row {
            hash: log.hash(&row),
            ..row
        };
        end = Head {
            sequence: row.sequence,
            hash: row.hash.clone(),
            tag: log.head_tag(row.sequence, &row.hash, row.created_at),
            at: row.created_at,
        };
        rows.push(row);
    }
    let made: Vec<_> = keys
        .made
        .iter()
        .map(|(subject, key)| json!({ "subject": subject, "sealed_key": key }))
        .collect();
    Ok(Rows {
        events: text(&rows)?,
        keys: (!made.is_empty()).then(|| json!(made).to_string()),
        erased: (!keys.erased.is_empty()).then(|| json!(keys.erased).to_string()),
        head: end,
    })
}

/// A row without its revision and hash.
fn row(
    log: &AuditLog,
    entry: &Entry,
    head: &Head,
    keys: &mut Keys,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Row, DbErr> {
    let Entry {
        act,
        outcome,
        record,
    } = entry;
    let sequence = head.sequence + 1;
    let subject = act.subject.key_name();
    let sealed = sealed_part(log, record, &subject, sequence, keys, entropy)?;
    if record.erases {
        keys.erase(subject);
    }
    let before = Timestamp::from_micros(head.at);
    let is_smoothed = before > now && before.since(now) <= SMOOTHED;
    let at = if is_smoothed { before } else { now };
    Ok(Row {
        sequence,
        created_at: at.as_micros(),
        actor_kind: act.actor.kind.as_str().to_owned(),
        actor_id: act.actor.id.clone(),
        session_id: act.actor.session_id.clone(),
        action: act.action.clone().into_owned(),
        outcome: outcome.as_str().to_owned(),
        subject_kind: act.subject.kind.clone().into_owned(),
        subject_id: act.subject.id.clone(),
        request_id: act.request_id.clone(),
        details: text(&record.plain)?,
        sealed,
        previous_hash: head.hash.clone(),
        ..Row::default()
    })
}

fn sealed_part(
    log: &AuditLog,
    record: &Record,
    subject: &str,
    sequence: i64,
    keys: &mut Keys,
    entropy: &dyn Entropy,
) -> Result<Option<String>, DbErr> {
    if record.personal.is_empty() {
        return Ok(None);
    }
    let part = zeroize::Zeroizing::new(text(&Details {
        changes: record.personal.clone(),
        ..Details::default()
    })?);
    let key = keys.of(log, subject, entropy);
    Ok(Some(key.seal(subject, sequence, part.as_bytes(), entropy)))
}

fn text(value: &impl serde::Serialize) -> Result<String, DbErr> {
    serde_json::to_string(value).map_err(|error| DbErr::Custom(error.to_string()))
}

/// The keys of subjects, as they are while the entries of a transaction become rows one after the other.
struct Keys {
    /// As the table has them.
    kept: HashMap<String, String>,
    by_subject: HashMap<String, SubjectKey>,
    /// Those to be kept from now on.
    made: HashMap<String, String>,
    erased: BTreeSet<String>,
}

impl Keys {
    fn of(&mut self, log: &AuditLog, subject: &str, entropy: &dyn Entropy) -> &SubjectKey {
        self.by_subject
            .entry(subject.to_owned())
            .or_insert_with(|| {
                if let Some(kept) = self.kept.get(subject) {
                    return log.open_key(subject, kept).unwrap_or_else(|_| {
                        // The key may be good under the right root secret, so that it stays; what is sealed now is lost.
                        tracing::error!("the audit key of a subject cannot be opened");
                        log.new_key(subject, entropy).0
                    });
                }
                let (key, kept) = log.new_key(subject, entropy);
                // Nobody seals for a subject after its end, and were it done, nothing would be kept of it.
                if !self.erased.contains(subject) {
                    self.made.insert(subject.to_owned(), kept);
                }
                key
            })
    }

    /// Ends a subject: not even a key that an earlier write of the same commit made is kept.
    fn erase(&mut self, subject: String) {
        self.by_subject.remove(&subject);
        self.kept.remove(&subject);
        self.made.remove(&subject);
        self.erased.insert(subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Act, Actor, Outcome, Subject},
        entropy::SystemEntropy,
        secret::{RootSecret, Secret},
    };

    fn log() -> Arc<AuditLog> {
        Arc::new(AuditLog::new(&RootSecret::new(&Secret::new(vec![1; 32]))))
    }

    fn entry(record: Record) -> (Arc<AuditLog>, Entry) {
        let act = Act::new(Actor::system("test"), "Test").on(Subject::new("user", "ada"));
        let outcome = Outcome::Done;
        let entry = Entry {
            act,
            outcome,
            record,
        };
        (log(), entry)
    }

    fn made(entries: &[(Arc<AuditLog>, Entry)], head: Head, now: i64) -> Rows {
        let entries: Vec<_> = entries.iter().map(|entry| (0, entry)).collect();
        let now = Timestamp::from_micros(now);
        rows(
            &entries,
            head,
            HashMap::new(),
            ("e", 0),
            now,
            &SystemEntropy,
        )
        .unwrap()
    }

    #[test]
    fn a_key_made_and_ended_in_one_commit_is_not_kept() {
        let personal = || entry(Record::default().personal("email", None::<String>, ["a@b.c"]));
        let end = || entry(Record::default().erasing());
        assert!(made(&[personal()], Head::default(), 1).keys.is_some());
        let ended = made(&[personal(), end(), personal()], Head::default(), 1);
        assert_eq!(ended.keys, None);
        assert_eq!(ended.erased.as_deref(), Some(r#"["user/ada"]"#));
    }

    #[test]
    fn a_head_that_was_tampered_with_breaks_the_chain_for_good() {
        let sound = made(&[entry(Record::default())], Head::default(), 1).head;
        assert!(sound.is_sound(&log()));
        let next = made(&[entry(Record::default())], sound.clone(), 2);
        assert!(next.events.contains(&sound.hash));
        let set_back = Head {
            hash: "0".repeat(64),
            ..sound
        };
        let next = made(&[entry(Record::default())], set_back.clone(), 2);
        assert!(!next.events.contains(&set_back.hash));
        assert!(next.head.is_sound(&log()));
    }

    #[test]
    fn small_differences_of_clocks_are_smoothed_and_large_ones_are_not_followed() {
        let second = 1_000_000;
        let at = |before: i64, now: i64| {
            let head = made(&[entry(Record::default())], Head::default(), before).head;
            made(&[entry(Record::default())], head, now).head.at
        };
        assert_eq!(at(100 * second, 95 * second), 100 * second);
        assert_eq!(at(100 * second, 89 * second), 89 * second);
        assert_eq!(at(100 * second, 101 * second), 101 * second);
    }
}
