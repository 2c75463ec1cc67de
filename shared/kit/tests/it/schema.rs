//! A small schema, and writes to it.

use identity_kit::{
    audit,
    database::{Database, Event, StoreError, WriteTransaction, Written},
    idempotency,
    migrate::{Schema, Step},
    outbox, steps,
    testing::{TestDatabase, databases},
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use serde_json::json;

pub(crate) struct Migrator;

impl Schema for Migrator {
    const STEPS: &'static [Step] = steps![m0001_first];
}

pub(crate) mod m0001_first {
    use super::*;

    pub(crate) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        outbox::create_tables(transaction).await?;
        outbox::create_past_table(transaction).await?;
        idempotency::create_tables(transaction).await?;
        audit::create_tables(transaction).await?;
        for statement in [
            "CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT NOT NULL)",
            "CREATE UNIQUE INDEX any_name ON item (name)",
            "CREATE TABLE link (a_id TEXT NOT NULL REFERENCES item (id), b_id TEXT NOT NULL, PRIMARY KEY (a_id, b_id))",
        ] {
            transaction.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

pub(crate) async fn each() -> Vec<TestDatabase> {
    databases::<Migrator>().await
}

pub(crate) async fn run(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: &[&str],
) -> Result<u64, StoreError> {
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        sql,
        values.iter().map(|value| (*value).into()),
    );
    Ok(connection.execute_raw(statement).await?.rows_affected())
}

pub(crate) async fn insert(transaction: &WriteTransaction, id: &str) -> Result<(), StoreError> {
    run(
        transaction,
        "INSERT INTO item (id, name) VALUES ($1, $1)",
        &[id],
    )
    .await?;
    transaction.emit(Event {
        kind: "item_created",
        payload: json!({ "item_id": id }),
    });
    Ok(())
}

/// Inserts an item and emits its event.
pub(crate) async fn create(database: &Database, id: &str) -> Result<Written<()>, StoreError> {
    let id = id.to_owned();
    database
        .write(move |transaction| {
            let id = id.clone();
            Box::pin(async move { insert(transaction, &id).await })
        })
        .await
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
}

pub(crate) async fn items(database: &Database) -> Vec<String> {
    Row::find_by_statement(Statement::from_string(
        database.backend(),
        "SELECT id FROM item ORDER BY id",
    ))
    .all(database.reader())
    .await
    .unwrap()
    .into_iter()
    .map(|row| row.id)
    .collect()
}
