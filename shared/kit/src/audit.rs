//! The audit log of a database: who did what to whom, in the transaction of the act, chained so that nothing vanishes.
//!
//! # What is kept
//!
//! A row of `audit_events` says who acted ([`Actor`]: a user with the session, a service, an operator, the system),
//! what ([`Act::action`]: the name of the RPC or verb), to what ([`Subject`]), whether it was done or refused, the id
//! of the request, the revision of the feed, when, and in its details what was before and after. The plain details
//! hold ids, names of fields, statuses and counts, never a personal datum. What is personal is sealed: AES-256-GCM
//! under a key of the subject, bound to the subject and to the row. The keys stand in `subject_keys`, themselves
//! sealed under a key derived from the root secret. Deleting a subject deletes its key in the same transaction: the
//! sealed parts are unreadable from then on, also in every copy of the log, and the chain still holds, since the
//! hashes cover what is sealed and not what it says.
//!
//! # The chain
//!
//! Sequence numbers are dense: 1, 2, 3 and so on. The hash of a row is
//! HMAC-SHA256(chain key, join(tag, previous hash, sequence, time, actor, …, details, sealed part)), where
//! [`join`](crate::secret::join) puts the length of each part, 8 bytes big endian, before it, numbers are 8 bytes big
//! endian, and the tag `identity audit event 1` names purpose and version. It is keyed, since whoever can change a row
//! could compute a plain hash anew for it and all after it; the key is derived from the root secret, which is not in
//! the database. Only the holder of the root secret can verify, and that is who runs the verb.
//!
//! The head of the chain (sequence, hash, time, and a tag over them of the same key) stands in `feed_head`, the row
//! that serialises writes anyway: it is read by the statement that takes the row's lock, and written by the one that
//! inserts the rows. A row of its own would be read as of the beginning of that statement on PostgreSQL, which is
//! before the lock was waited for. So a write has one statement and one row more than without, and no lock more.
//!
//! # What is noticed, and by what
//!
//! | what was done to the tables | noticed by |
//! |---|---|
//! | a row altered | its hash |
//! | a row forged | its hash: the key is not in the database |
//! | rows exchanged, or a row put elsewhere | their hashes: the sequence is a part |
//! | a row removed in the middle | the gap in the sequence |
//! | rows removed at the end | the head, which says how many there are |
//! | rows removed at the end and the head set back | the head's tag; the next write links to a hash that no row has |
//! | rows removed at the beginning | the anchor, which trimming leaves with a tag of the same key |
//! | the key of a subject removed or replaced | not noticed: its sealed parts are unreadable |
//! | the whole database set back to an older copy | a head noted elsewhere: the log has it regularly, the verb takes it |
//! | the whole log removed, as if it had never been | the same |
//!
//! # When something fails
//!
//! | what fails | what happens |
//! |---|---|
//! | the row cannot be written | the act is not done either: one transaction |
//! | the commit has an unknown outcome | act and row are both there or both not |
//! | the head's tag does not hold | acts go on, since somebody must be able to suspend a user; the break stays in the chain for good, at the sequence where it was met, and is logged |
//! | another root secret | the same; sealed parts cannot be opened, and no key is replaced |
//! | a refusal cannot be written, or there are too many | it is counted in a metric and in the next row of a refusal |
//! | a clock runs ahead | its rows bear its time; a difference of up to ten seconds is smoothed out |
//! | the log grows | it is trimmed by age, in small transactions, and never where the chain is broken |

mod append;
mod entry;
mod log;
mod read;
mod refusals;
mod row;
mod trim;
mod verify;
mod write;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr};

pub(crate) use self::{
    append::{Head, key_names, rows},
    write::{keys, write},
};
pub use self::{
    entry::{Act, Actor, ActorKind, Change, Entry, Outcome, Record, Subject},
    log::AuditLog,
    read::{AuditCursor, AuditEvent, AuditFilter, AuditOrder, Sealed, list},
    refusals::{Refusals, Refused},
    trim::trim,
    verify::{Flaw, Mark, Verified, VerifyError, head, verify},
};

/// Creates the tables of the log, and its head in the row of the feed. For a migration after that of the feed.
///
/// # Errors
///
/// The database refused.
pub async fn create_tables(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let (integer, key) = match transaction.get_database_backend() {
        DbBackend::Sqlite => ("INTEGER", "TEXT"),
        // Compared and ordered byte by byte, as SQLite does.
        _ => ("BIGINT", "TEXT COLLATE \"C\""),
    };
    for statement in TABLES {
        let statement = statement
            .replace("{integer}", integer)
            .replace("{key}", key);
        transaction.execute_unprepared(&statement).await?;
    }
    Ok(())
}

const TABLES: &[&str] = &[
    "CREATE TABLE audit_events (
        sequence {integer} PRIMARY KEY,
        created_at BIGINT NOT NULL,
        actor_kind TEXT NOT NULL,
        actor_id {key} NOT NULL,
        session_id TEXT NOT NULL,
        action {key} NOT NULL,
        outcome TEXT NOT NULL,
        subject_kind TEXT NOT NULL,
        subject_id {key} NOT NULL,
        request_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        revision BIGINT NOT NULL,
        details TEXT NOT NULL,
        sealed TEXT,
        previous_hash TEXT NOT NULL,
        hash TEXT NOT NULL
    )",
    "CREATE TABLE subject_keys (subject {key} PRIMARY KEY, sealed_key TEXT NOT NULL)",
    // Up to where the log was trimmed.
    "CREATE TABLE audit_anchor (
        id {integer} PRIMARY KEY CHECK (id = 1),
        sequence BIGINT NOT NULL,
        hash TEXT NOT NULL,
        tag TEXT NOT NULL
    )",
    "INSERT INTO audit_anchor (id, sequence, hash, tag) VALUES (1, 0, '', '')",
    "ALTER TABLE feed_head ADD COLUMN audit_sequence BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE feed_head ADD COLUMN audit_hash TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE feed_head ADD COLUMN audit_tag TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE feed_head ADD COLUMN audit_at BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX audit_events_by_time ON audit_events (created_at, sequence)",
    "CREATE INDEX audit_events_by_subject ON audit_events (subject_id, created_at, sequence)",
    "CREATE INDEX audit_events_by_actor ON audit_events (actor_id, created_at, sequence)",
    "CREATE INDEX audit_events_by_action ON audit_events (action, created_at, sequence)",
    // An expression, so that SQLite, which has no statistics, cannot take the index of one of the two instead.
    "CREATE INDEX audit_events_by_actor_action
        ON audit_events ((actor_id || '/' || action), created_at, sequence)",
    // Refusals are few among all, so that their indexes cost next to nothing and nothing else finds them.
    "CREATE INDEX audit_refusals_by_time ON audit_events (created_at, sequence) WHERE outcome = 'refused'",
    "CREATE INDEX audit_refusals_by_actor ON audit_events (actor_id, created_at, sequence)
        WHERE outcome = 'refused'",
    "CREATE INDEX audit_refusals_by_action ON audit_events (action, created_at, sequence)
        WHERE outcome = 'refused'",
    "CREATE INDEX audit_refusals_by_actor_action
        ON audit_events ((actor_id || '/' || action), created_at, sequence) WHERE outcome = 'refused'",
];
