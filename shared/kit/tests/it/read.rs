//! Reads of one row on connections that stay at hand.

use std::{sync::Arc, time::Duration};

use identity_kit::{
    clock::{Clock as _, ManualClock, SharedClock, SystemClock},
    database::{Database, DatabaseConfig, StoreError},
    entropy::SystemEntropy,
    testing::TestDatabase,
};
use sea_orm::{ConnectionTrait as _, DbBackend};

use crate::schema::{Migrator, create, each};

const NAME: &str = "SELECT name FROM item WHERE id = $1";

async fn name(database: &Database, id: &str) -> Result<Option<String>, StoreError> {
    let row = database.read_first(NAME, id).await?;
    Ok(row.map(|row| row.try_get("", "name")).transpose()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn first_row_is_read_or_none() {
    for database in each().await {
        create(&database, "a").await.unwrap();
        for _ in 0..3 {
            assert_eq!(name(&database, "a").await.unwrap().as_deref(), Some("a"));
            assert_eq!(name(&database, "b").await.unwrap(), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_sees_what_was_committed_before_it() {
    for database in each().await {
        for id in ["a", "b", "c"] {
            assert_eq!(name(&database, id).await.unwrap(), None);
            create(&database, id).await.unwrap();
            assert_eq!(name(&database, id).await.unwrap().as_deref(), Some(id));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_read_spoils_no_later_one() {
    for database in each().await {
        create(&database, "a").await.unwrap();
        for _ in 0..20 {
            let failed = database.read_first("SELECT nothing FROM item", "a").await;
            assert!(failed.is_err());
            assert_eq!(name(&database, "a").await.unwrap().as_deref(), Some("a"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_that_was_left_in_the_middle_gives_no_row_to_another() {
    for database in each().await {
        create(&database, "a").await.unwrap();
        create(&database, "b").await.unwrap();
        // More often than connections are kept.
        for _ in 0..20 {
            let mut left = Box::pin(name(&database, "b"));
            drop(futures_util::poll!(&mut left));
            drop(left);
            assert_eq!(name(&database, "a").await.unwrap().as_deref(), Some("a"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_closes_although_connections_are_kept() {
    for database in each().await {
        let reading = database.connect(Arc::new(SystemClock), Arc::new(SystemEntropy));
        let reading = reading.await;
        assert_eq!(name(&reading, "a").await.unwrap(), None);
        let closed = tokio::time::timeout(Duration::from_secs(10), reading.close()).await;
        assert!(closed.is_ok(), "a kept connection was waited for");
        assert!(name(&reading, "a").await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_connection_goes_back_when_its_time_is_over() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let shared: SharedClock = clock.clone();
    let config = DatabaseConfig {
        max_connections: Some(2),
        ..DatabaseConfig::new(database.url())
    };
    let reading = Database::connect(&config, shared, Arc::new(SystemEntropy))
        .await
        .unwrap();
    assert_eq!(reading.backend(), DbBackend::Postgres);
    let pool = reading.reader().get_postgres_connection_pool().clone();
    let both = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    drop(both);
    let idle = || pool.num_idle();
    // They come back in tasks of their own.
    while idle() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(name(&reading, "a").await.unwrap(), None);
    assert_eq!(idle(), 1);
    let before = backend_pid(&reading).await;
    assert_eq!(backend_pid(&reading).await, before);
    clock.advance(Duration::from_secs(2));
    // The one that waits longest in the pool is taken, and the old one goes back.
    assert_eq!(name(&reading, "a").await.unwrap(), None);
    assert_ne!(backend_pid(&reading).await, before);
    reading.close().await;
}

async fn backend_pid(database: &Database) -> i32 {
    let row = database
        .read_first("SELECT pg_backend_pid() AS pid WHERE $1 <> ''", "a")
        .await
        .unwrap();
    row.unwrap().try_get("", "pid").unwrap()
}

#[test]
fn database_may_be_dropped_outside_of_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(async {
        let database = TestDatabase::sqlite::<Migrator>().await;
        assert_eq!(name(&database, "a").await.unwrap(), None);
        database
    });
    drop(database);
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_without_end_ends_on_a_bounded_connection_and_spoils_no_later_one() {
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let mut databases = vec![TestDatabase::sqlite::<Migrator>().await];
    databases.extend(TestDatabase::postgres::<Migrator>().await);
    for database in databases {
        let config = DatabaseConfig {
            timeout: Duration::from_millis(200),
            ..DatabaseConfig::new(database.url())
        };
        let database = Database::connect(&config, Arc::new(SystemClock), Arc::new(SystemEntropy))
            .await
            .unwrap();
        let endless = sea_orm::Statement::from_string(database.backend(), ENDLESS);
        for _ in 0..3 {
            let error = database
                .bounded()
                .query_one_raw(endless.clone())
                .await
                .unwrap_err();
            assert!(StoreError::from(error).is_timeout());
            let short = sea_orm::Statement::from_string(database.backend(), "SELECT 1");
            assert!(database.bounded().query_one_raw(short).await.is_ok());
        }
        let failed = database.read_first("SELECT nothing FROM item", "a").await;
        assert!(!failed.unwrap_err().is_timeout());
        database.close().await;
    }
}
