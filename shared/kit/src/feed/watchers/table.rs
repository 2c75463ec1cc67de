//! The table of watchers.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult,
    Statement,
};
use serde_json::json;

use crate::{
    database::{Database, StoreError},
    position::Position,
};

/// Of positions within one epoch the greater one counts, since a watcher goes back only with the epoch.
macro_rules! upsert {
    ($rows:literal) => {
        concat!(
            "INSERT INTO feed_watcher (id, name, epoch, revision, lease_micros, renewals) ",
            $rows,
            " ON CONFLICT (id) DO UPDATE SET
                name = excluded.name,
                lease_micros = excluded.lease_micros,
                renewals = feed_watcher.renewals + excluded.renewals,
                epoch = CASE WHEN excluded.epoch = '' THEN feed_watcher.epoch ELSE excluded.epoch END,
                revision = CASE
                    WHEN excluded.epoch = '' THEN feed_watcher.revision
                    WHEN excluded.epoch = feed_watcher.epoch AND excluded.revision < feed_watcher.revision
                        THEN feed_watcher.revision
                    ELSE excluded.revision END"
        )
    };
}

const UPSERT_POSTGRES: &str = upsert!(
    "SELECT w.id, w.name, w.epoch, w.revision, w.lease, w.renewals
     FROM jsonb_to_recordset($1::text::jsonb)
        AS w(id text, name text, epoch text, revision bigint, lease bigint, renewals bigint)"
);

// SQLite would take ON CONFLICT for a join's condition without the WHERE.
const UPSERT_SQLITE: &str = upsert!(
    "SELECT value ->> 'id', value ->> 'name', value ->> 'epoch', value ->> 'revision', value ->> 'lease',
        value ->> 'renewals'
     FROM json_each($1) WHERE true"
);

const REMOVE_POSTGRES: &str = "DELETE FROM feed_watcher w
    USING jsonb_to_recordset($1::text::jsonb) AS gone(id text, renewals bigint)
    WHERE w.id = gone.id AND w.renewals = gone.renewals";

const REMOVE_SQLITE: &str = "DELETE FROM feed_watcher
    WHERE (id, renewals) IN (SELECT value ->> 'id', value ->> 'renewals' FROM json_each($1))";

/// A watcher as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    /// Everything up to here counts in what it decides.
    pub(super) acknowledged: Position,
    /// How long after a renewal it may still decide by itself.
    pub(super) lease: Duration,
    /// Grows with every renewal.
    pub(super) renewals: i64,
}

/// News of a watcher.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) acknowledged: Option<Position>,
    pub(super) lease: Duration,
    pub(super) renews: bool,
}

/// Creates the table. For a migration, after that of the feed.
///
/// # Errors
///
/// The database refused.
pub async fn create(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    transaction
        .execute_unprepared(
            "CREATE TABLE feed_watcher (
                id TEXT PRIMARY KEY,
                name TEXT NOT NULL,
                epoch TEXT NOT NULL,
                revision BIGINT NOT NULL,
                lease_micros BIGINT NOT NULL,
                renewals BIGINT NOT NULL
            )",
        )
        .await?;
    Ok(())
}

/// Everybody.
pub(super) async fn list(connection: &DatabaseConnection) -> Result<Vec<Row>, StoreError> {
    let statement = Statement::from_string(
        connection.get_database_backend(),
        "SELECT id, epoch, revision, lease_micros, renewals FROM feed_watcher",
    );
    let rows = connection.query_all_raw(statement).await?;
    Ok(rows.iter().map(Row::read).collect::<Result<_, _>>()?)
}

/// Writes news of watchers, in the order of their ids.
pub(super) async fn write<'e>(
    database: &Database,
    entries: impl Iterator<Item = &'e Entry>,
) -> Result<(), StoreError> {
    let rows = entries.map(|entry| {
        let position = entry.acknowledged.as_ref();
        json!({
            "id": entry.id,
            "name": entry.name,
            "epoch": position.map_or("", |position| &position.epoch),
            "revision": position.map_or(0, |position| position.revision),
            "lease": u64::try_from(entry.lease.as_micros()).unwrap_or(u64::MAX),
            "renewals": i64::from(entry.renews),
        })
    });
    let rows = serde_json::Value::Array(rows.collect()).to_string();
    execute(database, [UPSERT_SQLITE, UPSERT_POSTGRES], rows).await
}

/// Removes watchers that have not renewed meanwhile.
pub(super) async fn remove(
    database: &Database,
    gone: Vec<(String, i64)>,
) -> Result<(), StoreError> {
    let rows = gone
        .into_iter()
        .map(|(id, renewals)| json!({ "id": id, "renewals": renewals }));
    let rows = serde_json::Value::Array(rows.collect()).to_string();
    execute(database, [REMOVE_SQLITE, REMOVE_POSTGRES], rows).await
}

async fn execute(
    database: &Database,
    [sqlite, postgres]: [&'static str; 2],
    rows: String,
) -> Result<(), StoreError> {
    database
        .write(move |transaction| {
            let rows = rows.clone();
            Box::pin(async move {
                let backend = transaction.get_database_backend();
                let sql = match backend {
                    DbBackend::Sqlite => sqlite,
                    _ => postgres,
                };
                let statement = Statement::from_sql_and_values(backend, sql, [rows.into()]);
                transaction.execute_raw(statement).await?;
                Ok::<_, StoreError>(())
            })
        })
        .await?;
    Ok(())
}

impl Row {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let epoch: String = row.try_get("", "epoch")?;
        let revision: i64 = row.try_get("", "revision")?;
        let lease: i64 = row.try_get("", "lease_micros")?;
        Ok(Self {
            id: row.try_get("", "id")?,
            acknowledged: Position::new(epoch, revision.unsigned_abs()),
            lease: Duration::from_micros(lease.unsigned_abs()),
            renewals: row.try_get("", "renewals")?,
        })
    }
}
