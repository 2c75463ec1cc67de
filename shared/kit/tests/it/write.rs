//! Writes: what is committed, what is not, and what the caller learns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::join_all};
use identity_kit::{
    clock::SystemClock,
    database::{Database, DatabaseConfig, StoreError},
    entropy::SystemEntropy,
    outbox,
    testing::TestDatabase,
};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tokio::sync::{Barrier, Notify};

use crate::schema::{Migrator, create, each, insert, items, run};

#[tokio::test(flavor = "multi_thread")]
async fn write_commits_its_rows_and_its_events_together() {
    for database in each().await {
        let written = database
            .write(|transaction| {
                Box::pin(async move {
                    insert(transaction, "a").await?;
                    insert(transaction, "b").await?;
                    Ok::<_, StoreError>(7)
                })
            })
            .await
            .unwrap();
        let position = written.position.unwrap();
        assert_eq!((written.value, position.revision), (7, 2));
        let (head, cursor) = outbox::head(database.reader()).await.unwrap();
        assert_eq!(cursor.position, position);
        assert_eq!((head.revision, head.floor), (2, 0));
        let events = outbox::read_after(database.reader(), 0, 10).await.unwrap();
        let ids: Vec<_> = events
            .iter()
            .map(|event| event.payload["item_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["a", "b"]);
        assert_ne!(events[0].nonce, events[1].nonce);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_without_an_event_has_no_position() {
    for database in each().await {
        let written = database
            .write(|transaction| {
                Box::pin(async move {
                    run(
                        transaction,
                        "INSERT INTO item (id, name) VALUES ('a', 'a')",
                        &[],
                    )
                    .await
                })
            })
            .await
            .unwrap();
        assert_eq!((written.value, written.position), (1, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_writes_vanish_and_spare_those_committed_with_them() {
    for database in each().await {
        let results = join_all((0..60).map(|number| {
            let database = database.database().clone();
            async move {
                database
                    .write(move |transaction| {
                        Box::pin(async move {
                            insert(transaction, &format!("{number:02}")).await?;
                            if number % 3 == 0 {
                                return Err(StoreError::Conflict);
                            }
                            Ok(())
                        })
                    })
                    .await
            }
        }))
        .await;
        let kept = items(&database).await;
        assert_eq!(kept.len(), 40);
        let mut revisions = Vec::new();
        for (number, result) in results.into_iter().enumerate() {
            assert_eq!(result.is_ok(), number % 3 != 0);
            assert_eq!(kept.contains(&format!("{number:02}")), result.is_ok());
            revisions.extend(
                result
                    .ok()
                    .map(|written| written.position.unwrap().revision),
            );
        }
        // Each caller was told the revision of its own event.
        for (event, revision) in outbox::read_after(database.reader(), 0, 100)
            .await
            .unwrap()
            .iter()
            .zip(1..)
        {
            assert_eq!(event.position.revision, revision);
            let item: usize = event.payload["item_id"].as_str().unwrap().parse().unwrap();
            assert_eq!(revisions[item - item / 3 - 1], revision);
        }
        revisions.sort_unstable();
        assert_eq!(revisions, (1..=40).collect::<Vec<_>>());
    }
}

/// Two writes that share a commit: the first succeeds, the second does what `second` says and fails. How often the
/// first one ran.
async fn runs_beside(database: &Database, second: &'static str) -> u32 {
    let runs = Arc::new(AtomicU32::new(0));
    let (queued, counted) = (Arc::new(Notify::new()), Arc::clone(&runs));
    let until = Arc::clone(&queued);
    let first = database.write(move |transaction| {
        let (until, counted) = (Arc::clone(&until), Arc::clone(&counted));
        Box::pin(async move {
            insert(transaction, "first").await?;
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                until.notified().await;
            }
            Ok::<_, StoreError>(())
        })
    });
    let second = async {
        let failing = database.write(move |transaction| {
            Box::pin(async move {
                run(transaction, second, &[]).await?;
                Err::<(), _>(StoreError::Conflict)
            })
        });
        tokio::pin!(failing);
        // Polled once, it is in the queue.
        assert!(futures_util::poll!(&mut failing).is_pending());
        queued.notify_one();
        failing.await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap().position.unwrap().revision, 1);
    assert!(matches!(second, Err(StoreError::Conflict)), "{second:?}");
    assert_eq!(items(database).await, ["first"]);
    runs.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn write_runs_again_when_one_that_shares_its_commit_leaves_something_behind() {
    let database = TestDatabase::sqlite::<Migrator>().await;
    let insert = "INSERT INTO item (id, name) VALUES ('second', 'second')";
    assert_eq!(runs_beside(&database, insert).await, 2);
    let database = TestDatabase::sqlite::<Migrator>().await;
    assert_eq!(runs_beside(&database, "SELECT id FROM item").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_of_a_write_reaches_its_caller_alone() {
    for database in each().await {
        let panicking = {
            let database = database.database().clone();
            async move {
                database
                    .write(|transaction| {
                        Box::pin(async move {
                            insert(transaction, "lost").await?;
                            assert!(all_is_well(), "a defect");
                            Ok::<_, StoreError>(())
                        })
                    })
                    .await
            }
        };
        let (panicked, kept) = tokio::join!(
            std::panic::AssertUnwindSafe(panicking).catch_unwind(),
            create(&database, "kept")
        );
        assert_eq!(
            *panicked.unwrap_err().downcast::<&str>().unwrap(),
            "a defect"
        );
        kept.unwrap();
        create(&database, "later").await.unwrap();
        assert_eq!(items(&database).await, ["kept", "later"]);
    }
}

fn all_is_well() -> bool {
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_that_leaves_aborts_no_other_write() {
    for database in each().await {
        let others: Vec<_> = (0..40)
            .map(|number| {
                let database = database.database().clone();
                tokio::spawn(async move { create(&database, &format!("{number:02}")).await })
            })
            .collect();
        for (number, task) in others.iter().enumerate() {
            if number % 2 == 1 {
                task.abort();
            }
        }
        for (number, task) in others.into_iter().enumerate() {
            if number % 2 == 0 {
                task.await.unwrap().unwrap();
                assert!(items(&database).await.contains(&format!("{number:02}")));
            }
        }
        let (head, _) = outbox::head(database.reader()).await.unwrap();
        assert_eq!(head.revision, items(&database).await.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_write_is_rolled_back() {
    for database in each().await {
        let inserted = Arc::new(Notify::new());
        let writing = {
            let inserted = Arc::clone(&inserted);
            database.write(move |transaction| {
                let inserted = Arc::clone(&inserted);
                Box::pin(async move {
                    insert(transaction, "dropped").await?;
                    inserted.notify_one();
                    std::future::pending::<Result<(), StoreError>>().await
                })
            })
        };
        tokio::select! {
            _ = writing => panic!("a write that never ends has ended"),
            () = inserted.notified() => {}
        }
        create(&database, "next").await.unwrap();
        assert_eq!(items(&database).await, ["next"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_holds_up_the_others_is_ended() {
    let database = TestDatabase::sqlite::<Migrator>().await;
    let config = DatabaseConfig {
        timeout: Duration::from_millis(200),
        ..DatabaseConfig::new(database.url())
    };
    let impatient = Database::connect(&config, Arc::new(SystemClock), Arc::new(SystemEntropy))
        .await
        .unwrap();
    let stuck = impatient.write(|transaction| {
        Box::pin(async move {
            insert(transaction, "stuck").await?;
            std::future::pending::<Result<(), StoreError>>().await
        })
    });
    let (stuck, next) = tokio::join!(stuck, create(&impatient, "next"));
    assert!(
        matches!(stuck, Err(StoreError::Unavailable(_))),
        "{stuck:?}"
    );
    next.unwrap();
    assert_eq!(items(&database).await, ["next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_ignores_a_failed_statement_is_not_committed() {
    for database in each().await {
        create(&database, "taken").await.unwrap();
        let result = database
            .write(|transaction| {
                Box::pin(async move {
                    insert(transaction, "new").await?;
                    insert(transaction, "taken").await.ok();
                    Ok::<_, StoreError>(())
                })
            })
            .await;
        assert!(
            matches!(result, Err(StoreError::Unique { .. })),
            "{result:?}"
        );
        assert_eq!(items(&database).await, ["taken"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn violated_keys_have_the_same_name_on_both_engines() {
    for database in each().await {
        for (sql, expected) in [
            ("INSERT INTO item (id, name) VALUES ('b', 'a')", "item.name"),
            ("INSERT INTO item (id, name) VALUES ('a', 'b')", "item.id"),
            (
                "INSERT INTO link (a_id, b_id) VALUES ('a', 'a'), ('a', 'a')",
                "link.a_id,b_id",
            ),
        ] {
            create(&database, "a").await.ok();
            let result = database
                .write(move |transaction| Box::pin(async move { run(transaction, sql, &[]).await }))
                .await;
            assert!(
                matches!(&result, Err(StoreError::Unique { constraint }) if constraint == expected),
                "{result:?}"
            );
        }
        let result = database
            .write(|transaction| {
                Box::pin(async move {
                    run(
                        transaction,
                        "INSERT INTO link (a_id, b_id) VALUES ('none', 'a')",
                        &[],
                    )
                    .await
                })
            })
            .await;
        assert!(matches!(result, Err(StoreError::ForeignKey)), "{result:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_file_cannot_write() {
    let database = TestDatabase::sqlite::<Migrator>().await;
    assert!(
        run(database.reader(), "DELETE FROM item", &[])
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn second_server_of_a_file_is_refused_until_the_first_is_gone() {
    let database = TestDatabase::sqlite::<Migrator>().await;
    let config = DatabaseConfig {
        exclusive: true,
        ..DatabaseConfig::new(database.url())
    };
    let connect = || Database::connect(&config, Arc::new(SystemClock), Arc::new(SystemEntropy));
    let first = connect().await.unwrap();
    assert!(matches!(connect().await, Err(StoreError::Unavailable(_))));
    // Administrative verbs do not serve, and are let in.
    create(&database, "a").await.unwrap();
    first.close().await;
    drop(first);
    connect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_database_finishes_what_is_queued_and_takes_no_more() {
    let database = TestDatabase::sqlite::<Migrator>().await;
    let queued: Vec<_> = (0..20)
        .map(|number| {
            let database = database.database().clone();
            tokio::spawn(async move { create(&database, &format!("{number}")).await })
        })
        .collect();
    let mut committed = 0;
    create(&database, "first").await.unwrap();
    database.reader().ping().await.unwrap();
    database.close().await;
    assert!(database.reader().ping().await.is_err());
    for task in queued {
        match task.await.unwrap() {
            Ok(_) => committed += 1,
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}"),
        }
    }
    assert!(matches!(
        create(&database, "late").await,
        Err(StoreError::Unavailable(_))
    ));
    let reopened = database
        .connect(Arc::new(SystemClock), Arc::new(SystemEntropy))
        .await;
    assert_eq!(items(&reopened).await.len(), committed + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocked_writes_are_tried_again() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    create(&database, "a").await.unwrap();
    create(&database, "b").await.unwrap();
    let both_hold_one = Arc::new(Barrier::new(2));
    let tries = Arc::new(AtomicU32::new(0));
    let rename = |first: &'static str, second: &'static str| {
        let (both_hold_one, tries) = (Arc::clone(&both_hold_one), Arc::clone(&tries));
        database.write(move |transaction| {
            let (both_hold_one, tries) = (Arc::clone(&both_hold_one), Arc::clone(&tries));
            Box::pin(async move {
                let update = "UPDATE item SET name = name || $2 WHERE id = $1";
                run(transaction, update, &[first, "x"]).await?;
                if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                    both_hold_one.wait().await;
                }
                run(transaction, update, &[second, "x"]).await
            })
        })
    };
    let (one, other) = tokio::join!(rename("a", "b"), rename("b", "a"));
    one.unwrap();
    other.unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}

/// Ends the server's side of a transaction from another session.
async fn sever(database: &Database, transaction: &identity_kit::database::WriteTransaction) {
    let own = Statement::from_string(DbBackend::Postgres, "SELECT pg_backend_pid() AS pid");
    let row = transaction.query_one_raw(own).await.unwrap().unwrap();
    let pid: i32 = row.try_get("", "pid").unwrap();
    let end = format!("SELECT pg_terminate_backend({pid}, 5000)");
    database.reader().execute_unprepared(&end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_lost_before_the_commit_is_tried_again_and_at_the_commit_is_unknown() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    let write = |id: &'static str, sever_before_last_statement: bool| {
        let severed = Arc::new(AtomicU32::new(0));
        let handle = database.database().clone();
        database.write(move |transaction| {
            let (severed, handle) = (Arc::clone(&severed), handle.clone());
            Box::pin(async move {
                if sever_before_last_statement && severed.fetch_add(1, Ordering::SeqCst) == 0 {
                    sever(&handle, transaction).await;
                }
                run(
                    transaction,
                    "INSERT INTO item (id, name) VALUES ($1, $1)",
                    &[id],
                )
                .await?;
                if !sever_before_last_statement {
                    sever(&handle, transaction).await;
                }
                Ok::<_, StoreError>(())
            })
        })
    };
    write("again", true).await.unwrap();
    let result = write("unknown", false).await;
    assert!(
        matches!(result, Err(StoreError::UnknownOutcome)),
        "{result:?}"
    );
    create(&database, "after").await.unwrap();
    assert_eq!(items(&database).await, ["after", "again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_of_the_counter_that_stands_still_is_ended_by_the_server() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    let config = DatabaseConfig {
        timeout: Duration::from_millis(300),
        ..DatabaseConfig::new(database.url())
    };
    let frozen = Database::connect(&config, Arc::new(SystemClock), Arc::new(SystemEntropy))
        .await
        .unwrap();
    let holding = Arc::new(Notify::new());
    let held = Arc::clone(&holding);
    let task = tokio::spawn(async move {
        frozen
            .write(move |transaction| {
                let held = Arc::clone(&held);
                Box::pin(async move {
                    run(transaction, "UPDATE feed_head SET revision = revision", &[]).await?;
                    held.notify_one();
                    std::future::pending::<Result<(), StoreError>>().await
                })
            })
            .await
    });
    holding.notified().await;
    create(&database, "a").await.unwrap();
    assert_eq!(items(&database).await, ["a"]);
    task.abort();
}
