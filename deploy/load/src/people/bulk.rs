//! The floor below an import: the same rows into empty tables of the same shape, by the engine alone.

use std::{error::Error, time::Duration};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::stopwatch::Stopwatch;

/// The tables that an import fills, in the order in which they refer to each other.
const TABLES: [&str; 6] = [
    "users",
    "username_skeletons",
    "user_search",
    "credentials",
    "user_roles",
    "user_imports",
];

/// Inserts all rows again, in one transaction.
pub(crate) async fn insert_again(url: &str) -> Result<Duration, Box<dyn Error>> {
    if url.starts_with("sqlite") {
        return on_sqlite(url).await;
    }
    let mut connection = PgConnection::connect(url).await?;
    for table in TABLES {
        let sql = format!("CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)");
        connection.execute(AssertSqlSafe(sql)).await?;
    }
    let watch = Stopwatch::start();
    let mut transaction = connection.begin().await?;
    for table in TABLES {
        let sql = format!("INSERT INTO bare_{table} SELECT * FROM {table}");
        transaction.execute(AssertSqlSafe(sql)).await?;
    }
    transaction.commit().await?;
    let took = watch.elapsed();
    for table in TABLES {
        let sql = format!("DROP TABLE bare_{table}");
        connection.execute(AssertSqlSafe(sql)).await?;
    }
    Ok(took)
}

/// Into a file of its own with the same tables and indexes, but for that of the search, which triggers fill.
async fn on_sqlite(url: &str) -> Result<Duration, Box<dyn Error>> {
    let mut connection = SqliteConnection::connect(url).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bare.sqlite");
    // The tables refer to others that are not there.
    connection.execute("PRAGMA foreign_keys = OFF").await?;
    let attach = format!("ATTACH DATABASE '{}' AS bare", file.display());
    connection.execute(AssertSqlSafe(attach)).await?;
    connection.execute("PRAGMA bare.journal_mode = WAL").await?;
    let shapes = connection
        .fetch_all("SELECT type, name, tbl_name, sql FROM main.sqlite_master WHERE sql IS NOT NULL")
        .await?;
    for table in TABLES {
        for kind in ["table", "index"] {
            for shape in &shapes {
                let (is_kind, of): (String, String) =
                    (shape.try_get("type")?, shape.try_get("tbl_name")?);
                if is_kind != kind || of != table {
                    continue;
                }
                let (name, sql): (String, String) = (shape.try_get("name")?, shape.try_get("sql")?);
                // The first mention of its name is where it is made.
                let plain = sql.replacen(&format!("\"{name}\""), &name, 1);
                let sql = plain.replacen(&name, &format!("bare.{name}"), 1);
                connection.execute(AssertSqlSafe(sql)).await?;
            }
        }
    }
    let watch = Stopwatch::start();
    let mut transaction = connection.begin().await?;
    for table in TABLES {
        let sql = format!("INSERT INTO bare.{table} SELECT * FROM main.{table}");
        transaction.execute(AssertSqlSafe(sql)).await?;
    }
    transaction.commit().await?;
    Ok(watch.elapsed())
}

/// Lets the engine look at its tables.
pub(crate) async fn analyse(url: &str) -> Result<(), sqlx::Error> {
    if url.starts_with("sqlite") {
        return Ok(());
    }
    let mut connection = PgConnection::connect(url).await?;
    connection.execute("VACUUM ANALYZE").await?;
    Ok(())
}
