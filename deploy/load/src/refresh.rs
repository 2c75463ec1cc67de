//! Y7: rotating a refresh token through the store, beside the least that a database must do for it.

use std::{error::Error, fs::File, os::unix::fs::FileExt as _, sync::Arc, time::Duration};

use auth_service::{
    domain::{
        client::{ClientContext, ClientId},
        id::{SessionId, TokenId, UserId},
        opaque_token::{OpaqueToken, TokenKind},
        policy::SessionPolicy,
        session::SessionTimes,
    },
    store::{
        migration::Migrator,
        mint::{self, NewSession},
        refresh::{self, Rotation},
    },
};
use identity_kit::{
    clock::{Clock as _, SystemClock},
    database::{Database, DatabaseConfig},
    entropy::{SharedEntropy, SystemEntropy},
    id::new_id,
    migrate,
    position::Position,
};
use sqlx::{
    Connection as _, Executor as _, PgPool, SqliteConnection,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{ratio::compare, report::Row, stopwatch::Stopwatch};

const SYNCS: u32 = 50;

/// The store function on PostgreSQL beside one bare statement through sqlx.
pub(crate) fn on_postgres(runtime: &Runtime, url: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    const CALLERS: usize = 16;
    let subject = runtime.block_on(Subject::new(url, CALLERS))?;
    let pool = runtime.block_on(bare_postgres(url, CALLERS))?;
    let ratio = compare(
        4_000,
        |operations| runtime.block_on(subject.rotate(operations)),
        |operations| runtime.block_on(rotate_bare(&pool, CALLERS, operations)),
    );
    Ok(vec![Row::of_speed(
        "Y7",
        format!("rotate on PostgreSQL, {CALLERS} callers ÷ one bare statement through sqlx"),
        "≥ 0.7 (0.9)",
        &ratio,
    )])
}

/// The store function on SQLite beside a transaction for each caller.
pub(crate) fn on_sqlite(runtime: &Runtime) -> Result<Vec<Row>, Box<dyn Error>> {
    const CALLERS: usize = 32;
    let folder = tempfile::tempdir()?;
    let sync = sync_time(folder.path())?;
    let url = format!(
        "sqlite://{}",
        folder.path().join("subject.sqlite").display()
    );
    let subject = runtime.block_on(Subject::new(&url, CALLERS))?;
    let mut bare = runtime.block_on(bare_sqlite(&folder.path().join("bare.sqlite")))?;
    let ratio = compare(
        2_000,
        |operations| runtime.block_on(subject.rotate(operations)),
        |operations| runtime.block_on(rotate_bare_sqlite(&mut bare, operations)),
    );
    let mut row = Row::of_speed(
        "Y7",
        format!("rotate on SQLite, {CALLERS} callers ÷ a bare transaction each"),
        "≥ 8 (15) where a sync costs 1 ms",
        &ratio,
    );
    row.note = format!(
        "{}; a sync costs {:.2} ms here",
        row.note,
        sync.as_secs_f64() * 1e3
    );
    Ok(vec![row])
}

/// Sessions that are rotated by as many callers, each one its own.
struct Subject {
    database: Database,
    policy: SessionPolicy,
    entropy: SharedEntropy,
    chains: tokio::sync::Mutex<Vec<(SessionId, TokenId)>>,
}

impl Subject {
    async fn new(url: &str, callers: usize) -> Result<Self, Box<dyn Error>> {
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let config = DatabaseConfig::new(url);
        let database =
            Database::connect(&config, Arc::new(SystemClock), Arc::clone(&entropy)).await?;
        migrate::migrate::<Migrator>(&database).await?;
        let policy = SessionPolicy::default();
        let mut chains = Vec::new();
        for _ in 0..callers {
            let token = OpaqueToken::generate(TokenKind::Refresh, &*entropy);
            let new = NewSession {
                id: SessionId::trusted(new_id(&*entropy)),
                user_id: UserId::trusted(new_id(&*entropy)),
                client: ClientContext::new(ClientId::parse("load")?, String::new(), ""),
                rights_at: Position::new("e", 1),
                token_id: token.id().clone(),
                token_hash: token.hash(),
                now: SystemClock.now(),
                attempt: None,
            };
            let session = mint::begin(&database, &new, &policy).await?;
            chains.push((session.id, new.token_id));
        }
        Ok(Self {
            database,
            policy,
            entropy,
            chains: tokio::sync::Mutex::new(chains),
        })
    }

    async fn rotate(&self, operations: u32) {
        let mut chains = self.chains.lock().await;
        let each = operations as usize / chains.len();
        let mut callers = JoinSet::new();
        for (session_id, token_id) in chains.drain(..) {
            let (database, policy) = (self.database.clone(), self.policy.clone());
            let entropy = Arc::clone(&self.entropy);
            callers.spawn(async move {
                let mut token_id = token_id;
                for _ in 0..each {
                    let now = SystemClock.now();
                    let successor = OpaqueToken::generate(TokenKind::Refresh, &*entropy);
                    let rotation = Rotation {
                        session_id: session_id.clone(),
                        token_id,
                        request_id: None,
                        successor_id: successor.id().clone(),
                        successor_hash: successor.hash(),
                        sealed_successor: vec![7; 96],
                        rights_at: Position::new("e", 1),
                        now,
                        times: SessionTimes::at(now, now.plus(policy.absolute_life), &policy),
                    };
                    let rotated = refresh::rotate(&database, &rotation, &policy).await;
                    assert!(matches!(rotated, Ok(true)), "the rotation failed");
                    token_id = rotation.successor_id;
                }
                (session_id, token_id)
            });
        }
        while let Some(Ok(chain)) = callers.join_next().await {
            chains.push(chain);
        }
    }
}

const BARE_TABLES: &str = "
    CREATE TABLE bare_session (id TEXT PRIMARY KEY, current TEXT NOT NULL, at BIGINT NOT NULL);
    CREATE TABLE bare_token (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, hash TEXT NOT NULL)";

async fn bare_postgres(url: &str, callers: usize) -> Result<PgPool, Box<dyn Error>> {
    let connections = u32::try_from(callers)?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .connect(url)
        .await?;
    pool.execute(sqlx::raw_sql(BARE_TABLES)).await?;
    for caller in 0..callers {
        sqlx::query("INSERT INTO bare_session VALUES ($1, $2, 0)")
            .bind(format!("s{caller}"))
            .bind("t")
            .execute(&pool)
            .await?;
    }
    Ok(pool)
}

/// Marks the old token and inserts the new one in one statement, as little as a rotation can be.
async fn rotate_bare(pool: &PgPool, callers: usize, operations: u32) {
    let each = operations as usize / callers;
    let mut running = JoinSet::new();
    for caller in 0..callers {
        let pool = pool.clone();
        running.spawn(async move {
            for _ in 0..each {
                let id = new_id(&SystemEntropy);
                let done = sqlx::query(
                    "WITH live AS (UPDATE bare_session SET current = $2, at = at + 1 WHERE id = $1 RETURNING id)
                     INSERT INTO bare_token SELECT $2, live.id, $3 FROM live",
                )
                .bind(format!("s{caller}"))
                .bind(&id)
                .bind("a hash of about the same length as the real one")
                .execute(&pool)
                .await;
                assert!(done.is_ok_and(|done| done.rows_affected() == 1));
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        assert!(ended.is_ok());
    }
}

async fn bare_sqlite(file: &std::path::Path) -> Result<SqliteConnection, Box<dyn Error>> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    connection.execute(sqlx::raw_sql(BARE_TABLES)).await?;
    connection
        .execute("INSERT INTO bare_session VALUES ('s', 't', 0)")
        .await?;
    Ok(connection)
}

async fn rotate_bare_sqlite(connection: &mut SqliteConnection, operations: u32) {
    for _ in 0..operations {
        let outcome = rotate_once(connection).await;
        assert!(outcome.is_ok());
    }
}

async fn rotate_once(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let id = new_id(&SystemEntropy);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("UPDATE bare_session SET current = $1, at = at + 1 WHERE id = 's'")
        .bind(&id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO bare_token VALUES ($1, 's', $2)")
        .bind(&id)
        .bind("a hash of about the same length as the real one")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// What one sync of this disk costs, on average: of a page that the file has already, as in the engine's log.
fn sync_time(folder: &std::path::Path) -> Result<Duration, Box<dyn Error>> {
    let file = File::create(folder.join("sync"))?;
    file.write_all_at(&[0; 4096], 0)?;
    file.sync_all()?;
    let watch = Stopwatch::start();
    for _ in 0..SYNCS {
        file.write_all_at(&[1; 4096], 0)?;
        file.sync_data()?;
    }
    Ok(watch.elapsed() / SYNCS)
}
