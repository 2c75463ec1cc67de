//! How the engines carry out exports and look for users who were imported, read from their plans.

use identity_kit::{database::Database, testing::databases};
use sea_orm::{ConnectionTrait, DbBackend, QueryTrait, TransactionTrait};

use super::*;
use crate::store::migration::Migrator;

/// The steps of a plan for which every index is used that is there.
async fn plan(database: &Database, statement: Statement) -> Vec<String> {
    let backend = database.backend();
    let connection = database.reader().begin().await.unwrap();
    let (explain, column) = if backend == DbBackend::Sqlite {
        ("EXPLAIN QUERY PLAN", "detail")
    } else {
        let forced = "SET LOCAL enable_seqscan = off";
        connection.execute_unprepared(forced).await.unwrap();
        ("EXPLAIN", "QUERY PLAN")
    };
    let explained = Statement {
        sql: format!("{explain} {}", statement.sql),
        ..statement
    };
    let rows = connection.query_all_raw(explained).await.unwrap();
    rows.iter()
        .map(|row| row.try_get("", column).unwrap())
        .collect()
}

fn statements(backend: DbBackend) -> Vec<Statement> {
    let known = user_import::Entity::find()
        .filter(user_import::Column::Source.eq("old"))
        .filter(user_import::Column::ExternalId.is_in(["1", "2"]));
    let imports = user_import::Entity::find().filter(user_import::Column::UserId.eq("a"));
    let page = ["a".into(), 0_i64.into(), 100_i64.into()];
    vec![
        Statement::from_sql_and_values(backend, PAGE_AFTER, page),
        Statement::from_sql_and_values(backend, PERSON, ["a".into(), 0_i64.into()]),
        known.build(backend),
        imports.build(backend),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_export_and_no_look_for_imported_users_reads_a_whole_table() {
    for database in databases::<Migrator>().await {
        for statement in statements(database.backend()) {
            let sql = statement.sql.clone();
            let plan = plan(&database, statement).await;
            let whole = plan.iter().find(|step| {
                let reads_all = step.contains("Seq Scan") || step.starts_with("SCAN");
                // The head of the feed is one row.
                let is_one_row = step.contains("feed_head") || step.contains("SCAN h");
                reads_all && !is_one_row || step.contains("TEMP B-TREE FOR ORDER")
            });
            assert!(whole.is_none(), "{whole:?} in {plan:#?} of {sql}");
        }
    }
}
