//! Everything that a database holds, as bytes: files of SQLite as they are, rows of PostgreSQL as text.

use std::{fs, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::time::{Instant, sleep};

use crate::harness::store::sqlite_files;

/// Every table that is not the server's own.
const TABLES: &str = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename)
    FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";

/// A dump of the database of a running service.
pub(super) async fn of(url: &str) -> Vec<u8> {
    if url.starts_with("sqlite") {
        empty_log(url).await;
        let files = sqlite_files(url).into_iter().map(|(file, _)| file);
        let files = files.filter(|file| file.exists());
        let dump = files
            .map(|file| fs::read(file).unwrap())
            .collect::<Vec<_>>();
        assert!(!dump.is_empty());
        return dump.concat();
    }
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut dump = Vec::new();
    let tables = sqlx::query(TABLES)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(tables.len() > 8);
    for table in tables {
        let sql = format!("SELECT r::text FROM {} r", table.get::<String, _>(0));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await;
        for row in rows.unwrap() {
            let text = row.get::<String, _>(0).into_bytes();
            dump.extend(decoded(&text));
            dump.extend(text);
            dump.push(b'\n');
        }
    }
    dump
}

/// Brings what stands in the log of the file into the file, as the service does every ten minutes.
async fn empty_log(url: &str) {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
        let row = row.fetch_one(&mut connection).await.unwrap();
        if row.get::<i64, _>(0) == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "somebody always reads");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The bytes of what is written as `\x…` in a row, one after the other.
fn decoded(row: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::new();
    for at in 0..row.len() {
        if !row[at..].starts_with(b"\\x") {
            continue;
        }
        let digits = row[at + 2..].iter().map_while(|&byte| digit(byte));
        let digits: Vec<_> = digits.collect();
        let pairs = digits.chunks_exact(2);
        bytes.extend(pairs.map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()));
        bytes.push(b'\n');
    }
    bytes
}

#[test]
fn binary_columns_are_decoded() {
    assert_eq!(decoded(br#"(a,"\\x5a6562",\x21)"#), b"Zeb\n!\n");
}
