//! How the engines carry out each list of events, read from their plans, and that each list is what it says.

use sea_orm::{DatabaseTransaction, DbBackend, DbErr, TransactionTrait as _};

use super::*;
use crate::{
    audit,
    database::Database,
    migrate::{Schema, Step},
    outbox,
    secret::{RootSecret, Secret},
    steps,
    testing::databases,
};

struct Migrator;

impl Schema for Migrator {
    const STEPS: &'static [Step] = steps![m0001_first];
}

mod m0001_first {
    use super::*;

    pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        outbox::create_tables(transaction).await?;
        audit::create_tables(transaction).await
    }
}

/// Three thousand events of fifty actors, three hundred subjects and a hundred and twenty acts, of which one in forty was
/// refused; three share each moment. What a filter lets through is rare: for what is common, PostgreSQL rightly walks
/// along the times and leaves the others out.
const EVENTS: &str = "INSERT INTO audit_events (sequence, created_at, actor_kind, actor_id, session_id, action, outcome,
        subject_kind, subject_id, request_id, epoch, revision, details, sealed, previous_hash, hash)
     SELECT i, i / 3, 'user', 'actor' || (i % 50), '', 'Act' || (i % 120),
        CASE WHEN i % 40 = 0 THEN 'refused' ELSE 'done' END, 'user', 'subject' || (i % 300), '', 'e', i, '{}', NULL, '', ''
     FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n) AS numbers";

/// What makes PostgreSQL read a whole table or sort it only where no index saves it from that.
const ONLY_WITHOUT_AN_INDEX: [&str; 4] = [
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL enable_bitmapscan = off",
    "SET LOCAL enable_sort = off",
    "SET LOCAL enable_incremental_sort = off",
];

async fn fill(database: &Database) {
    let is_postgres = database.backend() == DbBackend::Postgres;
    let written = database.write(move |transaction| {
        Box::pin(async move {
            transaction.execute_unprepared(EVENTS).await?;
            if is_postgres {
                transaction.execute_unprepared("ANALYZE").await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    written.await.expect("the events are written");
}

/// A connection whose planner has to use the indexes that are there.
async fn planner(database: &Database) -> DatabaseTransaction {
    let connection = database.reader().begin().await.expect("a transaction");
    if database.backend() == DbBackend::Postgres {
        for setting in ONLY_WITHOUT_AN_INDEX {
            let set = connection.execute_unprepared(setting).await;
            set.expect("the setting is taken");
        }
    }
    connection
}

async fn plan(
    connection: &DatabaseTransaction,
    filter: &AuditFilter,
    after: Option<&AuditCursor>,
) -> Vec<String> {
    let backend = connection.get_database_backend();
    let (explain, column) = match backend {
        DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        _ => ("EXPLAIN", "QUERY PLAN"),
    };
    let (sql, values) = query(filter, after, 51);
    let statement = Statement::from_sql_and_values(backend, format!("{explain} {sql}"), values);
    let rows = connection.query_all_raw(statement).await.expect("a plan");
    rows.iter()
        .map(|row| row.try_get("", column).expect("a step"))
        .collect()
}

/// Every filter, order, span and place there is.
fn lists() -> Vec<(AuditFilter, Option<AuditCursor>)> {
    let mut lists = Vec::new();
    for bits in 0_u32..(1 << 7) {
        let given = |bit: u32| bits & (1 << bit) != 0;
        for outcome in [None, Some(Outcome::Done), Some(Outcome::Refused)] {
            let filter = AuditFilter {
                actor_id: given(0).then(|| "actor40".to_owned()),
                subject_id: given(1).then(|| "subject40".to_owned()),
                action: given(2).then(|| "Act40".to_owned()),
                outcome,
                since: given(3).then(|| Timestamp::from_micros(100)),
                until: given(4).then(|| Timestamp::from_micros(900)),
                order: if given(5) {
                    AuditOrder::Ascending
                } else {
                    AuditOrder::Descending
                },
            };
            let place = AuditCursor {
                at: 500,
                sequence: 1_501,
            };
            lists.push((filter, given(6).then_some(place)));
        }
    }
    lists
}

/// The one index that fits a filter.
fn index(filter: &AuditFilter) -> String {
    if filter.subject_id.is_some() {
        return "audit_events_by_subject".to_owned();
    }
    let table = match filter.outcome {
        Some(Outcome::Refused) => "audit_refusals",
        _ => "audit_events",
    };
    let by = match (&filter.actor_id, &filter.action) {
        (None, None) => "time",
        (Some(_), None) => "actor",
        (None, Some(_)) => "action",
        (Some(_), Some(_)) => "actor_action",
    };
    format!("{table}_by_{by}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_events_walks_along_the_index_that_fits_its_filter() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let connection = planner(&database).await;
        for (filter, after) in lists() {
            let plan = plan(&connection, &filter, after.as_ref()).await;
            let index = index(&filter);
            let is_used = |step: &String| step.split([' ', '"']).any(|word| word == index);
            let is_waste = |step: &String| {
                step.contains("Seq Scan") || step.contains("Sort ") || step.contains("TEMP B-TREE")
            };
            assert!(
                plan.iter().any(is_used) && !plan.iter().any(is_waste),
                "{index} for {filter:?} after {after:?}: {plan:#?}"
            );
        }
    }
}

/// What a list is, found by looking at every event.
fn expected(filter: &AuditFilter, after: Option<&AuditCursor>) -> Vec<i64> {
    let is_let_through = |i: &i64| {
        let refused = i % 40 == 0;
        filter.actor_id.as_ref().is_none_or(|_| i % 50 == 40)
            && filter.subject_id.as_ref().is_none_or(|_| i % 300 == 40)
            && filter.action.as_ref().is_none_or(|_| i % 120 == 40)
            && filter
                .outcome
                .is_none_or(|outcome| (outcome == Outcome::Refused) == refused)
            && filter.since.is_none_or(|_| i / 3 >= 100)
            && filter.until.is_none_or(|_| i / 3 < 900)
    };
    let is_behind = |i: &i64| match (after, filter.order) {
        (None, _) => true,
        (Some(place), AuditOrder::Ascending) => (i / 3, *i) > (place.at, place.sequence),
        (Some(place), AuditOrder::Descending) => (i / 3, *i) < (place.at, place.sequence),
    };
    let mut found: Vec<i64> = (1..=3_000)
        .filter(is_let_through)
        .filter(is_behind)
        .collect();
    if filter.order == AuditOrder::Descending {
        found.reverse();
    }
    found.truncate(51);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_events_is_what_its_filter_says() {
    let log = AuditLog::new(&RootSecret::new(&Secret::new(vec![1; 32])));
    for database in databases::<Migrator>().await {
        fill(&database).await;
        for (filter, after) in lists() {
            let listed = list(database.reader(), &log, &filter, after.as_ref(), 51).await;
            let listed = listed.expect("a list").into_iter();
            let listed: Vec<i64> = listed.map(|event| event.cursor().sequence).collect();
            assert_eq!(
                listed,
                expected(&filter, after.as_ref()),
                "{filter:?} after {after:?}"
            );
        }
    }
}
