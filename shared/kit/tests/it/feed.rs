//! Reading the feed: revisions in the order of commits, and cursors that notice another history.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use identity_kit::{
    clock::{Clock as _, Timestamp},
    entropy::SystemEntropy,
    outbox::{self, Cursor, Read},
    testing::{ManualClock, TestDatabase},
};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement, TransactionTrait as _};

use crate::schema::{Migrator, create, each, run};

/// What a follower does, which is sure of nothing but the order of revisions.
async fn follow(connection: &DatabaseConnection, cursor: &mut Cursor, seen: &mut Vec<u64>) {
    match outbox::read(connection, cursor, 7).await.unwrap() {
        Read::Events { events, .. } => {
            for event in events {
                seen.push(event.position.revision);
                *cursor = event.cursor();
            }
        }
        Read::Reset => panic!("the history is the same"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_event_is_skipped_while_sixteen_write_and_one_reads() {
    for database in each().await {
        let (_, mut cursor) = outbox::head(database.reader()).await.unwrap();
        let writers: Vec<_> = (0..16)
            .map(|writer| {
                let database = database.database().clone();
                tokio::spawn(async move {
                    for number in 0..30 {
                        create(&database, &format!("{writer}-{number}"))
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        let mut seen = Vec::new();
        while seen.len() < 480 {
            follow(database.reader(), &mut cursor, &mut seen).await;
        }
        join_all(writers).await;
        follow(database.reader(), &mut cursor, &mut seen).await;
        assert_eq!(seen, (1..=480).collect::<Vec<_>>());
    }
}

/// The control: numbers taken from a sequence at the start of a transaction, as is often done. The reader of the
/// test above loses an event on it, so that test can fail.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_taken_at_the_start_of_a_transaction_do_lose_an_event() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    let pool = database.reader();
    run(pool, "CREATE SEQUENCE numbers", &[]).await.unwrap();
    let append = "INSERT INTO feed_event (revision, kind, payload, nonce, created_at)
                  VALUES (nextval('numbers'), 'k', '{}', 'n', 0)";
    let early = pool.begin().await.unwrap();
    early.execute_unprepared(append).await.unwrap();
    let late = pool.begin().await.unwrap();
    late.execute_unprepared(append).await.unwrap();
    late.commit().await.unwrap();
    let mut seen: Vec<u64> = Vec::new();
    for commit in [Some(early), None] {
        let after = seen.last().copied().unwrap_or(0);
        let events = outbox::read_after(pool, after, 10).await.unwrap();
        seen.extend(events.iter().map(|event| event.position.revision));
        if let Some(transaction) = commit {
            transaction.commit().await.unwrap();
        }
    }
    assert_eq!(seen, [2], "revision 1 is never seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_another_history_is_sent_to_begin_anew() {
    for database in each().await {
        for number in 0..5 {
            create(&database, &format!("{number}")).await.unwrap();
        }
        let (_, old) = outbox::head(database.reader()).await.unwrap();
        let read = outbox::read(database.reader(), &old, 10).await.unwrap();
        assert!(matches!(read, Read::Events { events, .. } if events.is_empty()));

        rewind(&database, 3).await;
        assert_eq!(
            outbox::read(database.reader(), &old, 10).await.unwrap(),
            Read::Reset
        );
        // The restored copy goes on and gives the same numbers to other events.
        for number in 5..9 {
            create(&database, &format!("{number}")).await.unwrap();
        }
        assert_eq!(
            outbox::read(database.reader(), &old, 10).await.unwrap(),
            Read::Reset
        );

        let (_, current) = outbox::head(database.reader()).await.unwrap();
        write_sql(&database, "UPDATE feed_head SET epoch = 'other'").await;
        assert_eq!(
            outbox::read(database.reader(), &current, 10).await.unwrap(),
            Read::Reset
        );
        let start = Cursor {
            position: identity_kit::position::Position::new("old", 0),
            nonce: None,
        };
        assert_eq!(
            outbox::read(database.reader(), &start, 10).await.unwrap(),
            Read::Reset
        );
    }
}

/// What a restored copy looks like: the same epoch at an earlier revision.
pub(crate) async fn rewind(database: &TestDatabase, revision: u64) {
    write_sql(
        database,
        &format!("DELETE FROM feed_event WHERE revision > {revision}"),
    )
    .await;
    write_sql(
        database,
        &format!("UPDATE feed_head SET revision = {revision}"),
    )
    .await;
}

pub(crate) async fn write_sql(database: &TestDatabase, sql: &str) {
    let sql = sql.to_owned();
    database
        .write(move |transaction| {
            let sql = sql.clone();
            Box::pin(async move { run(transaction, &sql, &[]).await })
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn trimming_keeps_the_last_event_and_sends_old_cursors_to_begin_anew() {
    for database in each().await {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_000)));
        let writer = database
            .connect(clock.clone(), Arc::new(SystemEntropy))
            .await;
        let (_, start) = outbox::head(database.reader()).await.unwrap();
        let mut cursors = vec![start];
        for number in 0..4 {
            create(&writer, &format!("{number}")).await.unwrap();
            cursors.push(outbox::head(database.reader()).await.unwrap().1);
            clock.advance(Duration::from_secs(10));
        }
        assert_eq!(
            outbox::trim(&writer, Timestamp::from_seconds(1_015))
                .await
                .unwrap(),
            2
        );
        for (cursor, known) in cursors.iter().zip([false, false, false, true, true]) {
            let read = outbox::read(database.reader(), cursor, 10).await.unwrap();
            assert_eq!(read != Read::Reset, known, "{cursor:?}");
        }
        assert_eq!(outbox::trim(&writer, clock.now()).await.unwrap(), 1);
        let (head, cursor) = outbox::head(database.reader()).await.unwrap();
        assert_eq!((head.revision, head.floor), (4, 4));
        assert_ne!(
            outbox::read(database.reader(), &cursor, 10).await.unwrap(),
            Read::Reset
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_heartbeat_a_second_is_committed() {
    for database in each().await {
        let clock = ManualClock::new(Timestamp::from_seconds(1_000));
        assert!(outbox::beat(&database, &clock).await.unwrap());
        assert!(!outbox::beat(&database, &clock).await.unwrap());
        clock.advance(Duration::from_secs(1));
        assert!(outbox::beat(&database, &clock).await.unwrap());
        // A clock that ran ahead does not silence the others.
        clock.step_to(Timestamp::from_seconds(500));
        assert!(outbox::beat(&database, &clock).await.unwrap());
        let (head, _) = outbox::head(database.reader()).await.unwrap();
        assert_eq!(head.heartbeat_at, Timestamp::from_seconds(500));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_feed_uses_its_key() {
    for database in each().await {
        let explain = match database.backend() {
            sea_orm::DbBackend::Sqlite => "EXPLAIN QUERY PLAN",
            _ => "EXPLAIN",
        };
        write_sql(
            &database,
            "INSERT INTO feed_event (revision, kind, payload, nonce, created_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             SELECT i, 'k', '{}', 'n', 0 FROM n",
        )
        .await;
        if database.backend() == sea_orm::DbBackend::Postgres {
            write_sql(&database, "ANALYZE feed_event").await;
        }
        let plan = database
            .reader()
            .query_all_raw(Statement::from_string(
                database.backend(),
                format!(
                    "{explain} SELECT * FROM feed_head h LEFT JOIN feed_event e ON e.revision >= 4990
                     WHERE h.id = 1 ORDER BY e.revision LIMIT 10"
                ),
            ))
            .await
            .unwrap();
        let column = if database.backend() == sea_orm::DbBackend::Sqlite {
            "detail"
        } else {
            "QUERY PLAN"
        };
        let plan: Vec<String> = plan
            .iter()
            .map(|row| row.try_get("", column).unwrap())
            .collect();
        let plan = plan.join("\n");
        assert!(
            plan.contains("feed_event_pkey") || plan.contains("SEARCH e USING INTEGER PRIMARY KEY"),
            "{plan}"
        );
    }
}
