//! Who may carry out what has ended, how much at once, and by which index.

use std::{sync::Arc, time::Duration};

use identity_kit::{
    clock::ManualClock,
    database::{Database, StoreError},
    secret::{RootSecret, Secret},
    testing::databases,
};
use sea_orm::{DatabaseTransaction, TransactionTrait};

use super::*;
use crate::store::{Audit, LEASE, RightsCache, migration::Migrator};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Two thousand users with a role and a permission, of which a quarter ends, at moments that count from 1.
const GRANTS: [&str; 7] = [
    "INSERT INTO user_types (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('person', 'person', '', true, 0, 0, 1)",
    "INSERT INTO users (id, username, username_key, email, email_key, email_verified, first_name, last_name,
        address_street, address_extra, address_city, address_region, address_postal_code, address_country_code,
        status, status_reason, user_type_id, created_at, updated_at, version)
     SELECT 'u' || i, 'name' || i, 'name' || i, 'e' || i, 'e' || i, false, '', '', '', '', '', '', '', '',
        'active', '', 'person', i, i, 1
     FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n) AS numbers",
    "INSERT INTO roles (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('r', 'r', '', false, 0, 0, 1)",
    "INSERT INTO permissions (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('p', 'p', '', false, 0, 0, 1)",
    "INSERT INTO user_roles (user_id, role_id, created_at, ends_at)
     SELECT id, 'r', 0, CASE WHEN created_at % 4 = 0 THEN created_at END FROM users",
    "INSERT INTO user_permissions (user_id, permission_id, created_at, ends_at)
     SELECT id, 'p', 0, CASE WHEN created_at % 4 = 0 THEN created_at END FROM users",
    "INSERT INTO subscriptions (id, user_id, plan, status, starts_at, ends_at, created_at, updated_at, version)
     SELECT 's' || created_at, id, 'FREE', CASE WHEN created_at % 2 = 0 THEN 'expired' ELSE 'active' END, 0,
        CASE WHEN created_at > 1000 THEN created_at END, 0, 0, 1 FROM users",
];

async fn fill(database: &Database) {
    let is_postgres = database.backend() == DbBackend::Postgres;
    let written = database.write(move |transaction| {
        Box::pin(async move {
            for statement in GRANTS {
                transaction.execute_unprepared(statement).await?;
            }
            if is_postgres {
                transaction.execute_unprepared("ANALYZE").await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    written.await.unwrap();
}

fn store(database: &Database) -> Store {
    let clock = Arc::new(ManualClock::new(NOW));
    let audit = Audit::new(&RootSecret::new(&Secret::new(vec![0; 32])), clock.clone());
    let rights = RightsCache::new(clock, Duration::from_secs(5));
    Store::new(database.clone(), Arc::new(rights), audit)
}

fn holder(name: &str) -> Holder {
    Holder::new(name.to_owned())
}

async fn count(store: &Store, sql: &str) -> i64 {
    let statement = Statement::from_string(store.database().backend(), sql.to_owned());
    let row = store.database().reader().query_one_raw(statement).await;
    row.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// The steps of the plan of a statement with a moment and a limit.
async fn plan(connection: &DatabaseTransaction, sql: &str) -> Vec<String> {
    let backend = connection.get_database_backend();
    let (explain, column) = match backend {
        DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        _ => ("EXPLAIN", "QUERY PLAN"),
    };
    let mut values = Vec::new();
    if sql.contains("$1") {
        values = vec![Value::from(100_i64), Value::from(50_i64)];
    }
    let statement = Statement::from_sql_and_values(backend, format!("{explain} {sql}"), values);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get("", column).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_found_by_an_index_and_no_table_is_read_whole() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let connection = database.reader().begin().await.unwrap();
        if database.backend() == DbBackend::Postgres {
            connection
                .execute_unprepared("SET LOCAL enable_seqscan = off")
                .await
                .unwrap();
        }
        let statements = statements(database.backend());
        for (sql, indexes) in [
            (
                NEXT,
                vec![
                    "user_roles_by_end",
                    "user_permissions_by_end",
                    "subscriptions_by_end",
                ],
            ),
            (statements.subscriptions, vec!["subscriptions_by_end"]),
            (statements.roles, vec!["user_roles_by_end"]),
            (statements.permissions, vec!["user_permissions_by_end"]),
        ] {
            let plan = plan(&connection, sql).await;
            for index in indexes {
                assert!(plan.iter().any(|step| step.contains(index)), "{plan:#?}");
            }
            // What is found by an index is looked through again under another name.
            let reads_all = |step: &String| {
                let is_table =
                    step.starts_with("SCAN user_") || step.starts_with("SCAN subscriptions");
                is_table && !step.contains("USING") || step.contains("Seq Scan")
            };
            assert!(!plan.iter().any(reads_all), "{plan:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_goes_in_parts_and_what_has_not_stays() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let store = store(&database);
        assert_eq!(
            store.next_end().await.unwrap(),
            Some(Timestamp::from_micros(4))
        );
        let head = store.head().await.unwrap().revision;
        // Of 500 roles and as many permissions those of the first 400 users end, and the subscriptions of every second
        // user from the thousandth on.
        let now = Timestamp::from_micros(1_600);
        let ended = store.carry_out_ends(holder("a"), now).await.unwrap();
        assert_eq!(ended, Some(1_100));
        // One event for each user, whatever they have lost, and one for each subscription.
        assert_eq!(store.head().await.unwrap().revision, head + 700);
        assert_eq!(
            store.next_end().await.unwrap(),
            Some(Timestamp::from_micros(1_601))
        );
        for table in ["user_roles", "user_permissions"] {
            let left = format!("SELECT COUNT(*) FROM {table}");
            assert_eq!(count(&store, &left).await, 1_600, "{table}");
        }
        let ended = store.carry_out_ends(holder("a"), now).await.unwrap();
        assert_eq!(ended, Some(0));
        assert_eq!(store.head().await.unwrap().revision, head + 700);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_transaction_ends_more_than_a_part() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let store = store(&database);
        let everything = "UPDATE user_roles SET ends_at = 1";
        let written = database.write(move |transaction| {
            Box::pin(async move {
                transaction.execute_unprepared(everything).await?;
                for table in ["user_permissions", "subscriptions"] {
                    let sql = format!("DELETE FROM {table}");
                    transaction.execute_unprepared(&sql).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        written.await.unwrap();
        for left in [1_500, 1_000, 500, 0] {
            let ended = store.carry_out_ends(holder("a"), NOW).await.unwrap();
            assert_eq!(ended, Some(ENDED_AT_ONCE));
            assert_eq!(count(&store, "SELECT COUNT(*) FROM user_roles").await, left);
        }
        assert_eq!(store.next_end().await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_has_the_lease_and_another_gets_it_when_it_is_over_or_given_back() {
    for database in databases::<Migrator>().await {
        let store = store(&database);
        let take =
            async |name: &str, now: Timestamp| store.take_lease(holder(name), now).await.unwrap();
        assert!(take("a", NOW).await);
        assert!(!take("b", NOW).await);
        let renewed = NOW.plus(LEASE / 2);
        assert!(take("a", renewed).await);
        // Nothing more is heard of it: the other waits for as long as was promised, and no longer.
        let over = renewed.plus(LEASE);
        assert!(!take("b", over.minus(Duration::from_micros(1))).await);
        assert!(take("b", over).await);
        assert!(!take("a", over).await);
        store.release_lease(holder("a")).await.unwrap();
        assert!(!take("a", over).await, "somebody else's is not given back");
        store.release_lease(holder("b")).await.unwrap();
        assert!(take("a", over).await);
        // A clock that ran ahead does not keep everybody waiting.
        assert!(take("a", over.plus(LEASE * 100)).await);
        assert!(take("b", over).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_lost_the_lease_ends_nothing() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let store = store(&database);
        assert!(store.take_lease(holder("a"), NOW).await.unwrap());
        // It stood still until its lease was over, and another has taken the house.
        let later = NOW.plus(LEASE);
        assert!(store.take_lease(holder("b"), later).await.unwrap());
        let head = store.head().await.unwrap();
        let ended = store.carry_out_ends(holder("a"), later).await.unwrap();
        assert_eq!(ended, None);
        assert_eq!(store.head().await.unwrap(), head);
        assert_eq!(
            count(&store, "SELECT COUNT(*) FROM user_roles").await,
            2_000
        );
        let ended = store.carry_out_ends(holder("b"), later).await.unwrap();
        assert_eq!(ended, Some(1_500));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_both_take_themselves_for_the_keeper_end_everything_once() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let stores = [store(&database), store(&database)];
        let head = stores[0].head().await.unwrap().revision;
        let all = stores.iter().zip(["a", "b"]).map(|(store, name)| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut ended = 0;
                // Each as if it had the lease: the clock of the one is always beyond the lease of the other.
                for round in 0..40 {
                    let now = NOW.plus(LEASE * round);
                    let part = store.carry_out_ends(holder(name), now).await.unwrap();
                    ended += part.unwrap_or_default();
                }
                ended
            })
        });
        let mut ended = 0;
        for part in all.collect::<Vec<_>>() {
            ended += part.await.unwrap();
        }
        assert_eq!(ended, 1_500);
        assert_eq!(stores[0].head().await.unwrap().revision, head + 1_000);
    }
}
