//! The two stores, and fresh databases on them.

use std::path::{Path, PathBuf};

use identity_dev::{private_file, service::Service};
use sqlx::{Connection, PgConnection, SqliteConnection};

/// Where a pair keeps its data.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    /// A file for each service.
    Sqlite,
    /// A fresh database for each service on the server of this URL.
    Postgres(String),
}

impl Store {
    /// The URL of a database that nobody has used.
    pub(crate) async fn fresh_database(&self, folder: &Path, service: Service) -> String {
        match self {
            Self::Sqlite => {
                let file = folder.join(service.name()).join("database.sqlite");
                format!("sqlite://{}?mode=rwc", file.display())
            }
            Self::Postgres(server) => {
                let unique = &private_file::random_hex().unwrap()[..16];
                let name = format!("e2e_{}_{unique}", service.name().replace('-', "_"));
                administer(server, &[format!("CREATE DATABASE {name}")]).await;
                with_database(server, &name)
            }
        }
    }

    /// Keeps a copy of a database that nobody uses.
    pub(crate) async fn copy_database(&self, url: &str) {
        match self {
            Self::Sqlite => {
                for (file, copy) in sqlite_files(url) {
                    if file.exists() {
                        std::fs::copy(file, copy).unwrap();
                    }
                }
            }
            Self::Postgres(server) => {
                let name = database_of(url);
                let statement = format!("CREATE DATABASE {name}_copy TEMPLATE {name}");
                administer(server, &[statement]).await;
            }
        }
    }

    /// Puts the copy in the place of a database that nobody uses.
    pub(crate) async fn put_back(&self, url: &str) {
        match self {
            Self::Sqlite => {
                for (file, copy) in sqlite_files(url) {
                    let _ = std::fs::remove_file(&file);
                    if copy.exists() {
                        std::fs::rename(copy, file).unwrap();
                    }
                }
            }
            Self::Postgres(server) => {
                let name = database_of(url);
                let statements = [
                    format!("DROP DATABASE {name} WITH (FORCE)"),
                    format!("ALTER DATABASE {name}_copy RENAME TO {name}"),
                ];
                administer(server, &statements).await;
            }
        }
    }

    /// Removes a database; a SQLite file goes with its folder.
    pub(crate) async fn drop_database(&self, url: &str) {
        let Self::Postgres(server) = self else {
            return;
        };
        let name = database_of(url);
        let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        administer(server, &[statement]).await;
    }
}

/// The name of a database on a server.
fn database_of(url: &str) -> &str {
    url.split(['/', '?']).nth(3).unwrap()
}

/// The files of a SQLite database, each with where its copy is.
pub(crate) fn sqlite_files(url: &str) -> [(PathBuf, PathBuf); 3] {
    let path = url.trim_start_matches("sqlite://");
    let path = path.split('?').next().unwrap();
    ["", "-wal", "-shm"].map(|suffix| {
        let file = PathBuf::from(format!("{path}{suffix}"));
        let copy = PathBuf::from(format!("{path}{suffix}.copy"));
        (file, copy)
    })
}

/// Runs statements about databases.
async fn administer(server: &str, statements: &[String]) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

/// Runs one statement on a database of either kind and says how many rows it touched.
pub(crate) async fn execute(url: &str, statement: &'static str) -> u64 {
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        let done = sqlx::query(statement).execute(&mut connection).await;
        done.unwrap().rows_affected()
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let done = sqlx::query(statement).execute(&mut connection).await;
        done.unwrap().rows_affected()
    }
}

/// How many rows there are of what follows FROM, in a database of either kind.
pub(crate) async fn count(url: &str, from: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {from}"));
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        let counted = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        counted.unwrap()
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let counted = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        counted.unwrap()
    }
}

/// The server's URL with another database.
fn with_database(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').unwrap_or((server, ""));
    let authority_end = address
        .find("://")
        .and_then(|scheme| {
            let start = scheme + 3;
            address[start..].find('/').map(|slash| start + slash)
        })
        .unwrap_or(address.len());
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}/{name}{separator}{query}", &address[..authority_end])
}

#[test]
fn the_database_of_a_url_is_replaced() {
    for (server, expected) in [
        ("postgres://a:b@h:5/postgres", "postgres://a:b@h:5/x"),
        ("postgres://a@h", "postgres://a@h/x"),
        (
            "postgres://a@h/p?sslmode=disable",
            "postgres://a@h/x?sslmode=disable",
        ),
    ] {
        assert_eq!(with_database(server, "x"), expected);
    }
}
