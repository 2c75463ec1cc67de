//! The audit log: what is written with an act, and that no change of the tables goes unnoticed.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use identity_kit::{
    audit::{
        self, Act, Actor, AuditFilter, AuditLog, AuditOrder, Entry, Flaw, Mark, Outcome, Record,
        Refusals, Refused, Sealed, Subject, Verified, VerifyError,
    },
    clock::{SystemClock, Timestamp},
    database::{Database, StoreError, WriteTransaction, Written},
    secret::{RootSecret, Secret},
    testing::TestDatabase,
};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio_util::sync::CancellationToken;

use crate::schema::{each, insert, run};

/// Something about a person.
const PERSONAL: &str = "ada@example.org";

fn log() -> Arc<AuditLog> {
    log_of(1)
}

fn log_of(byte: u8) -> Arc<AuditLog> {
    Arc::new(AuditLog::new(&RootSecret::new(&Secret::new(vec![
        byte;
        32
    ]))))
}

fn entry(subject: &str, record: Record) -> Entry {
    Entry {
        act: Act::new(Actor::user("root", "session"), "CreateItem")
            .by_request("request")
            .on(Subject::new("item", subject)),
        outcome: Outcome::Done,
        record,
    }
}

fn personal() -> Record {
    Record::default()
        .changed("status", None::<String>, ["new"])
        .personal("email", None::<String>, [PERSONAL])
}

async fn act(
    database: &Database,
    id: &str,
    work: fn(&WriteTransaction, &str),
) -> Result<Written<()>, StoreError> {
    let id = id.to_owned();
    database
        .write(move |transaction| {
            let id = id.clone();
            Box::pin(async move {
                insert(transaction, &id).await?;
                work(transaction, &id);
                Ok(())
            })
        })
        .await
}

/// Inserts an item, audited.
async fn create(database: &Database, id: &str) -> Written<()> {
    let created = act(database, id, |transaction, id| {
        transaction.audit(&log(), entry(id, personal()));
    });
    created.await.unwrap()
}

async fn filled(database: &Database, count: usize) {
    for number in 1..=count {
        create(database, &format!("item{number}")).await;
    }
}

/// Changes the tables past the log.
async fn tamper(database: &Database, sql: &str) {
    let sql = sql.to_owned();
    let done = database.write(move |transaction| {
        let sql = sql.clone();
        Box::pin(async move { run(transaction, &sql, &[]).await })
    });
    assert!(done.await.unwrap().value > 0, "it changes something");
}

async fn verify(database: &Database) -> Result<Verified, VerifyError> {
    audit::verify(database, &log(), &[]).await
}

fn flaw(verified: Result<Verified, VerifyError>) -> (u64, Flaw) {
    match verified {
        Err(VerifyError::Broken { sequence, flaw }) => (sequence, flaw),
        other => panic!("is broken: {other:?}"),
    }
}

async fn all(database: &Database) -> Vec<audit::AuditEvent> {
    let filter = AuditFilter {
        order: AuditOrder::Ascending,
        ..AuditFilter::default()
    };
    let log = log();
    let events = audit::list(database.reader(), &log, &filter, None, 10_000);
    events.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_and_its_event_are_committed_together_or_not_at_all() {
    for database in each().await {
        let written = create(&database, "a").await;
        let failed = database.write(|transaction| {
            Box::pin(async move {
                insert(transaction, "b").await?;
                transaction.audit(&log(), entry("b", personal()));
                Err::<(), _>(StoreError::Conflict)
            })
        });
        failed.await.unwrap_err();
        let events = all(&database).await;
        assert_eq!(events.len(), 1);
        let event = &events[0];
        assert_eq!((event.sequence, event.outcome), (1, Outcome::Done));
        assert_eq!(event.act, entry("a", personal()).act);
        assert_eq!(Some(&event.position), written.position.as_ref());
        assert_eq!(event.changes[0].after, ["new"]);
        let Sealed::Open(personal) = &event.sealed else {
            panic!("is open: {event:?}")
        };
        assert_eq!(personal[0].after, [PERSONAL]);
        let verified = verify(&database).await.unwrap();
        assert_eq!(
            (verified.count, verified.head.hash),
            (1, event.hash.clone())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_once_leave_one_dense_chain_and_every_event_says_its_own_revision() {
    for database in each().await {
        let writes = (0..16).map(|writer| {
            let database = database.database().clone();
            async move {
                for number in 0..10 {
                    let id = format!("{writer}x{number}");
                    let written = create(&database, &id).await;
                    let position = written.position.unwrap();
                    let mine = all(&database).await;
                    let mine = mine
                        .iter()
                        .find(|event| event.act.subject.id == id)
                        .unwrap();
                    assert_eq!(mine.position, position);
                }
            }
        });
        join_all(writes).await;
        let verified = verify(&database).await.unwrap();
        assert_eq!((verified.count, verified.head.sequence), (160, 160));
        let times: Vec<_> = all(&database)
            .await
            .iter()
            .map(|event| event.created_at)
            .collect();
        assert!(times.is_sorted());
    }
}

/// Each change of the tables, the sequence at which it is found, and the flaw.
fn changes() -> Vec<(&'static str, u64, Flaw)> {
    vec![
        ("UPDATE audit_events SET details = '{}' WHERE sequence = 3", 3, Flaw::Altered),
        ("UPDATE audit_events SET actor_id = 'eve' WHERE sequence = 1", 1, Flaw::Altered),
        ("UPDATE audit_events SET created_at = created_at + 1 WHERE sequence = 5", 5, Flaw::Altered),
        ("UPDATE audit_events SET sealed = NULL WHERE sequence = 2", 2, Flaw::Altered),
        ("DELETE FROM audit_events WHERE sequence = 3", 3, Flaw::Missing),
        ("DELETE FROM audit_events WHERE sequence = 1", 1, Flaw::Missing),
        ("DELETE FROM audit_events WHERE sequence > 3", 4, Flaw::Missing),
        ("DELETE FROM audit_events", 1, Flaw::Missing),
        // Two rows change places: each is a good row of this log.
        (
            "UPDATE audit_events SET sequence = CASE sequence WHEN 2 THEN -3 ELSE -2 END WHERE sequence IN (2, 3);
             UPDATE audit_events SET sequence = -sequence WHERE sequence < 0",
            2,
            Flaw::Altered,
        ),
        // A row put behind the end, as a copy of a good one.
        (
            "INSERT INTO audit_events SELECT 6, created_at, actor_kind, actor_id, session_id, action, outcome,
                subject_kind, subject_id, request_id, epoch, revision, details, sealed, previous_hash, hash
             FROM audit_events WHERE sequence = 5",
            6,
            Flaw::Altered,
        ),
        // The end cut off and the head set to the row before, whose hash everybody can read.
        (
            "UPDATE feed_head SET audit_sequence = 4,
                audit_hash = (SELECT hash FROM audit_events WHERE sequence = 4);
             DELETE FROM audit_events WHERE sequence = 5",
            4,
            Flaw::Head,
        ),
        ("UPDATE feed_head SET audit_sequence = 3", 4, Flaw::BehindHead),
        // The beginning cut off as if it had been trimmed.
        (
            "UPDATE audit_anchor SET sequence = 2, hash = (SELECT hash FROM audit_events WHERE sequence = 2);
             DELETE FROM audit_events WHERE sequence <= 2",
            2,
            Flaw::Anchor,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_the_tables_is_found_where_it_begins() {
    for (sql, sequence, expected) in changes() {
        for database in each().await {
            filled(&database, 5).await;
            verify(&database).await.unwrap();
            for statement in sql.split(';') {
                tamper(&database, statement).await;
            }
            assert_eq!(flaw(verify(&database).await), (sequence, expected), "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_row_of_another_history_does_not_follow() {
    for database in each().await {
        filled(&database, 2).await;
        for other in each().await {
            if other.backend() != database.backend() {
                continue;
            }
            filled(&other, 3).await;
            let foreign = all(&other).await.remove(2);
            let row = other
                .reader()
                .query_one_raw(Statement::from_string(
                    other.backend(),
                    "SELECT previous_hash, created_at, epoch, revision, details, sealed FROM audit_events WHERE sequence = 3",
                ))
                .await
                .unwrap()
                .unwrap();
            let text = |column: &str| row.try_get::<String>("", column).unwrap();
            let number = |column: &str| row.try_get::<i64>("", column).unwrap();
            let sql = format!(
                "INSERT INTO audit_events VALUES (3, {}, 'user', 'root', 'session', 'CreateItem', 'done', 'item',
                    'item3', 'request', '{}', {}, '{}', '{}', '{}', '{}')",
                number("created_at"), text("epoch"), number("revision"), text("details"), text("sealed"),
                text("previous_hash"), foreign.hash,
            );
            tamper(&database, &sql).await;
        }
        assert_eq!(flaw(verify(&database).await), (3, Flaw::Unlinked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_cut_off_is_not_covered_up_by_the_next_act() {
    for database in each().await {
        filled(&database, 5).await;
        tamper(&database, "DELETE FROM audit_events WHERE sequence = 5").await;
        let back = "UPDATE feed_head SET audit_sequence = 4,
            audit_hash = (SELECT hash FROM audit_events WHERE sequence = 4)";
        tamper(&database, back).await;
        // Somebody must still be able to act.
        create(&database, "later").await;
        assert_eq!(flaw(verify(&database).await), (5, Flaw::Unlinked));
        create(&database, "latest").await;
        assert_eq!(flaw(verify(&database).await), (5, Flaw::Unlinked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_set_back_as_a_whole_is_found_by_a_head_that_was_noted() {
    for database in each().await {
        filled(&database, 3).await;
        let head = audit::head(database.reader(), &log()).await.unwrap();
        let second = all(&database).await.remove(1);
        let second = Mark {
            sequence: second.sequence,
            hash: second.hash,
        };
        let noted = [head.clone(), second];
        audit::verify(&database, &log(), &noted).await.unwrap();
        let later = Mark {
            sequence: 4,
            ..head.clone()
        };
        let outcome = audit::verify(&database, &log(), &[later]).await;
        assert_eq!(flaw(outcome), (4, Flaw::Missing));
        let other = Mark {
            hash: "0".repeat(64),
            ..head
        };
        let outcome = audit::verify(&database, &log(), &[other]).await;
        assert_eq!(flaw(outcome), (3, Flaw::Noted));
        let outcome = audit::verify(&database, &log_of(2), &[]).await;
        assert_eq!(flaw(outcome), (1, Flaw::Altered), "another root secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_subject_is_unreadable_for_good_and_the_chain_holds() {
    for database in each().await {
        filled(&database, 2).await;
        let erased = act(&database, "end", |transaction, _| {
            transaction.audit(&log(), entry("item1", Record::default().erasing()));
        });
        erased.await.unwrap();
        let sealed: Vec<_> = all(&database)
            .await
            .into_iter()
            .map(|event| event.sealed)
            .collect();
        assert_eq!(sealed[0], Sealed::Erased);
        assert!(matches!(sealed[1], Sealed::Open(_)), "another subject's");
        assert_eq!(sealed[2], Sealed::Nothing);
        verify(&database).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_subject_is_made_once_and_used_for_all_that_follows() {
    for database in each().await {
        for number in 0..3 {
            let id = format!("step{number}");
            let change = act(&database, &id, |transaction, _| {
                transaction.audit(&log(), entry("ada", personal()));
            });
            change.await.unwrap();
        }
        let row = database
            .reader()
            .query_one_raw(Statement::from_string(
                database.backend(),
                "SELECT COUNT(*) AS n FROM subject_keys",
            ))
            .await
            .unwrap();
        assert_eq!(row.unwrap().try_get::<i64>("", "n").unwrap(), 1);
        let events = all(&database).await;
        assert!(
            events
                .iter()
                .all(|event| matches!(event.sealed, Sealed::Open(_)))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trimming_leaves_an_anchor_from_which_the_chain_goes_on() {
    for database in each().await {
        filled(&database, 5).await;
        let third = all(&database).await.remove(2);
        // Nothing is older than the first moment.
        let none = audit::trim(&database, &log(), Timestamp::from_micros(0)).await;
        assert_eq!(none.unwrap(), 0);
        let removed = audit::trim(&database, &log(), third.created_at)
            .await
            .unwrap();
        assert!(removed <= 2, "{removed}");
        let everything = Timestamp::from_micros(i64::MAX);
        let left = u64::try_from(all(&database).await.len()).unwrap();
        assert_eq!(
            audit::trim(&database, &log(), everything).await.unwrap(),
            left
        );
        let verified = verify(&database).await.unwrap();
        assert_eq!(verified.count, 1, "what trimming itself says");
        assert_eq!(verified.anchor.sequence + 1, verified.head.sequence);
        create(&database, "later").await;
        assert_eq!(verify(&database).await.unwrap().count, 2);
        let event = all(&database).await.remove(0);
        assert_eq!(event.act.action, "TrimAuditEvents");
        tamper(
            &database,
            "DELETE FROM audit_events WHERE sequence = (SELECT MIN(sequence) FROM audit_events)",
        )
        .await;
        let first = verified.head.sequence;
        assert_eq!(flaw(verify(&database).await), (first, Flaw::Missing));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chain_is_not_trimmed() {
    for database in each().await {
        filled(&database, 3).await;
        tamper(
            &database,
            "UPDATE audit_events SET actor_id = 'eve' WHERE sequence = 2",
        )
        .await;
        let everything = Timestamp::from_micros(i64::MAX);
        let refused = audit::trim(&database, &log(), everything)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, VerifyError::Broken { sequence: 2, .. }),
            "{refused}"
        );
        assert_eq!(all(&database).await.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_batch_is_verified_and_trimmed() {
    for database in each().await {
        let many = database.write(|transaction| {
            Box::pin(async move {
                insert(transaction, "many").await?;
                for number in 0..2_500 {
                    transaction.audit(&log(), entry(&number.to_string(), Record::default()));
                }
                Ok::<_, StoreError>(())
            })
        });
        many.await.unwrap();
        assert_eq!(verify(&database).await.unwrap().count, 2_500);
        let everything = Timestamp::from_micros(i64::MAX);
        let trimmed = audit::trim(&database, &log(), everything).await.unwrap();
        // The first two transactions left an event each, which the third one took as well.
        assert_eq!(trimmed, 2_502);
        assert_eq!(verify(&database).await.unwrap().count, 1);
    }
}

async fn until_written(database: &TestDatabase, count: usize) -> Vec<audit::AuditEvent> {
    let written = async {
        loop {
            let events = all(database).await;
            if events.len() >= count {
                return events;
            }
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, written).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_two_rows_and_a_count() {
    for database in each().await {
        let refusals = Arc::new(Refusals::new(Arc::new(SystemClock)));
        let cancel = CancellationToken::new();
        let writing =
            Arc::clone(&refusals).write(database.database().clone(), log(), cancel.clone());
        let writing = tokio::spawn(writing);
        let refused = || Refused {
            act: Act::new(Actor::user("eve", "session"), "ListUsers").by_request("call"),
            reason: "PERMISSION_REQUIRED",
            lacking: "users.read".to_owned(),
        };
        refusals.record(refused());
        let events = until_written(&database, 1).await;
        assert_eq!(events[0].outcome, Outcome::Refused);
        for _ in 0..10_000 {
            refusals.record(refused());
        }
        cancel.cancel();
        writing.await.unwrap();
        let events = all(&database).await;
        let counts: Vec<_> = events
            .iter()
            .map(|event| {
                event
                    .facts
                    .iter()
                    .find(|(name, _)| name == "count")
                    .unwrap()
                    .1
                    .clone()
            })
            .collect();
        assert_eq!(counts, ["1", "10000"]);
        verify(&database).await.unwrap();
    }
}
