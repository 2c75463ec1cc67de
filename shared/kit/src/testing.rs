//! What tests need: a migrated database of each engine, randomness from a seed, a clock that tests move.
#![expect(
    clippy::expect_used,
    reason = "what a test needs and lacks is its failure"
)]

use std::{
    any::TypeId,
    collections::HashMap,
    path::PathBuf,
    str::FromStr as _,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::sync::Mutex;

pub use crate::clock::ManualClock;
use crate::{
    clock::{Clock as _, SharedClock, SystemClock},
    database::{Database, DatabaseConfig},
    entropy::{Entropy, SharedEntropy, SystemEntropy},
    id::new_id,
    migrate::{Schema, migrate},
};

/// Names the PostgreSQL server of the tests: the URL of a database whose user may create others.
const URL: &str = "TEST_POSTGRES_URL";
/// Set to 1, its absence is a failure instead of a test less.
const REQUIRED: &str = "TEST_POSTGRES_REQUIRED";
/// Databases of tests that crashed are removed after this time.
const LEFTOVER_SECONDS: i64 = 3_600;
const PREFIX: &str = "identity_test_";

/// Randomness that is the same in every run of a test.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededEntropy {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: AtomicU64::new(0),
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let count = self.drawn.fetch_add(1, Ordering::Relaxed);
            let block = digest(
                &SHA256,
                &[self.seed.to_be_bytes(), count.to_be_bytes()].concat(),
            );
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
    }
}

/// A migrated database of one test, which is removed with this value.
pub struct TestDatabase {
    database: Database,
    url: String,
    place: Place,
}

enum Place {
    Folder(TempDir),
    Server {
        admin: Box<PgConnectOptions>,
        name: String,
    },
}

impl TestDatabase {
    /// An SQLite file with the schema of `M`.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub async fn sqlite<S: Schema + 'static>() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("test.db");
        let template = template::<S>("sqlite", || async {
            let file = folder.path().join("template.db");
            let database = connect(&format!("sqlite:{}", file.display())).await;
            migrate::<S>(&database).await.expect("the migrations apply");
            database.close().await;
            Template::File(std::fs::read(file).expect("the template"))
        })
        .await;
        if let Template::File(content) = &*template {
            std::fs::write(&file, content).expect("a copy of the template");
        }
        let url = format!("sqlite:{}", file.display());
        Self {
            database: connect(&url).await,
            url,
            place: Place::Folder(folder),
        }
    }

    /// A PostgreSQL database with the schema of `M`; `None` when no server is named.
    ///
    /// # Panics
    ///
    /// When it cannot be made, or no server is named though one is required.
    pub async fn postgres<S: Schema + 'static>() -> Option<Self> {
        let url = postgres_url()?;
        let admin = PgConnectOptions::from_str(&url).expect("TEST_POSTGRES_URL is a URL");
        let admin = Box::new(admin);
        let template = template::<S>("postgres", || async {
            remove_leftovers(&admin).await;
            let name = name();
            execute(&admin, &format!("CREATE DATABASE {name}")).await;
            let database = connect(&url_of(&url, &name)).await;
            migrate::<S>(&database).await.expect("the migrations apply");
            database.close().await;
            Template::Server(name)
        })
        .await;
        let Template::Server(template) = &*template else {
            unreachable!("a template of this engine")
        };
        let name = name();
        execute(
            &admin,
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        let url = url_of(&url, &name);
        Some(Self {
            database: connect(&url).await,
            url,
            place: Place::Server { admin, name },
        })
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Its URL, for a second handle or process.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Another handle to it, as another process would have, with its own clock and randomness.
    ///
    /// # Panics
    ///
    /// When the database does not answer.
    pub async fn connect(&self, clock: SharedClock, entropy: SharedEntropy) -> Database {
        Database::connect(&small(&self.url), clock, entropy)
            .await
            .expect("the test database answers")
    }

    /// The file of an SQLite database.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.path().join("test.db")),
            Place::Server { .. } => None,
        }
    }
}

impl std::ops::Deref for TestDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Server { admin, name } = &self.place else {
            return;
        };
        let (admin, name) = (admin.clone(), name.clone());
        // The runtime of the test cannot be waited on in here.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(execute(
                    &admin,
                    &format!("DROP DATABASE {name} WITH (FORCE)"),
                ));
            }
        });
        let removed = removal.join().is_ok();
        assert!(
            removed || std::thread::panicking(),
            "the test database could not be removed"
        );
    }
}

/// A database with the schema of `M` for every engine: SQLite, and PostgreSQL where `TEST_POSTGRES_URL` names one.
pub async fn databases<S: Schema + 'static>() -> Vec<TestDatabase> {
    let mut databases = vec![TestDatabase::sqlite::<S>().await];
    databases.extend(TestDatabase::postgres::<S>().await);
    databases
}

/// The server of the tests; `None` when none is named.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told of their server by the environment alone"
)]
fn postgres_url() -> Option<String> {
    let url = std::env::var(URL).ok().filter(|url| !url.is_empty());
    let required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
    assert!(
        url.is_some() || !required,
        "{REQUIRED} is set and {URL} is not"
    );
    url
}

enum Template {
    File(Vec<u8>),
    Server(String),
}

type Key = (TypeId, &'static str);
static TEMPLATES: LazyLock<Mutex<HashMap<Key, Arc<Template>>>> = LazyLock::new(Mutex::default);

/// The template of a schema, which the first test of a process makes.
async fn template<M: 'static>(
    engine: &'static str,
    make: impl AsyncFnOnce() -> Template,
) -> Arc<Template> {
    let mut templates = TEMPLATES.lock().await;
    let key = (TypeId::of::<M>(), engine);
    if let Some(template) = templates.get(&key) {
        return Arc::clone(template);
    }
    let template = Arc::new(make().await);
    templates.insert(key, Arc::clone(&template));
    template
}

fn small(url: &str) -> DatabaseConfig {
    DatabaseConfig {
        max_connections: Some(8),
        // Many tests share a machine.
        timeout: std::time::Duration::from_secs(20),
        ..DatabaseConfig::new(url)
    }
}

async fn connect(url: &str) -> Database {
    Database::connect(&small(url), Arc::new(SystemClock), Arc::new(SystemEntropy))
        .await
        .expect("the test database answers")
}

/// A name that tells when it was made.
fn name() -> String {
    format!(
        "{PREFIX}{}_{}",
        SystemClock.now().seconds(),
        new_id(&SystemEntropy)
    )
}

/// The URL of another database of the same server.
fn url_of(url: &str, name: &str) -> String {
    let (base, query) = url
        .split_once('?')
        .map_or((url, None), |(base, query)| (base, Some(query)));
    let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
    query.map_or_else(
        || format!("{server}/{name}"),
        |query| format!("{server}/{name}?{query}"),
    )
}

async fn execute(admin: &PgConnectOptions, statement: &str) {
    let mut connection = admin.connect().await.expect("the test server answers");
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .expect("the test server obeys");
    connection.close().await.expect("the test server lets go");
}

async fn remove_leftovers(admin: &PgConnectOptions) {
    let mut connection = admin.connect().await.expect("the test server answers");
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE datname LIKE 'identity_test_%'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the test server lists its databases");
    let oldest = SystemClock.now().seconds() - LEFTOVER_SECONDS;
    for name in names {
        let made = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_')?.0.parse::<i64>().ok());
        if made.is_some_and(|made| made < oldest) {
            // Another process may have been quicker.
            let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            drop(
                sqlx::query(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await,
            );
        }
    }
}
