//! How the engines carry out each list of subscriptions, read from their plans.

use identity_kit::testing::databases;
use sea_orm::{ConnectionTrait, DbBackend, QueryTrait, Statement, TransactionTrait};

use super::*;
use crate::store::migration::Migrator;

/// What makes PostgreSQL read a whole table or sort it only where no index saves it from that.
const ONLY_WITHOUT_AN_INDEX: [&str; 3] = [
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL enable_bitmapscan = off",
    "SET LOCAL enable_sort = off",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_list_of_subscriptions_reads_or_sorts_the_whole_table() {
    let plan = PlanName::stored("FREE".to_owned());
    let place = SubscriptionCursor {
        at: 1_000,
        id: "s".to_owned(),
    };
    for database in databases::<Migrator>().await {
        let backend = database.backend();
        let connection = database.reader().begin().await.unwrap();
        let (explain, column) = match backend {
            DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
            _ => ("EXPLAIN", "QUERY PLAN"),
        };
        if backend == DbBackend::Postgres {
            for setting in ONLY_WITHOUT_AN_INDEX {
                connection.execute_unprepared(setting).await.unwrap();
            }
        }
        let user = UserId::new("u".to_owned());
        for (select, index) in [
            (query(None, None), "subscriptions_by_created"),
            (query(None, Some(&place)), "subscriptions_by_created"),
            (query(Some(&plan), None), "subscriptions_by_plan_created"),
            (
                query(Some(&plan), Some(&place)),
                "subscriptions_by_plan_created",
            ),
            (of_user(&user), "subscriptions"),
        ] {
            let select = select.limit(51).build(backend);
            let statement = Statement {
                sql: format!("{explain} {}", select.sql),
                ..select
            };
            let rows = connection.query_all_raw(statement).await.unwrap();
            let steps: Vec<String> = rows
                .iter()
                .map(|row| row.try_get("", column).unwrap())
                .collect();
            assert!(steps.iter().any(|step| step.contains(index)), "{steps:#?}");
            let waste = ["TEMP B-TREE", "Seq Scan", "Sort Key"];
            let is_waste = |step: &String| {
                waste.iter().any(|waste| step.contains(waste)) || step == "SCAN subscriptions"
            };
            assert!(!steps.iter().any(is_waste), "{steps:#?}");
        }
    }
}
