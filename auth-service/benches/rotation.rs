//! Rotating a refresh token through the store, against the least that a database must do for it: mark the old one
//! and insert the new one. PostgreSQL takes part where `TEST_POSTGRES_URL` names a server.
//!
//! Run with `cargo bench -p auth-service --bench rotation`; the yardstick is the quotient of the two rates.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot run says so by failing"
)]

use std::sync::LazyLock;

use auth_service::{
    domain::{
        client::{ClientContext, ClientId},
        id::{SessionId, UserId},
        opaque_token::{OpaqueToken, TokenKind},
        policy::SessionPolicy,
        session::{Session, SessionTimes},
    },
    store::{
        migration::Migrator,
        mint::{self, NewSession},
        refresh::{self, Rotation},
    },
};
use divan::{Bencher, counter::ItemsCount};
use futures_util::future::join_all;
use identity_guard::{
    clock::{Clock as _, SystemClock},
    position::Position,
};
use identity_kit::{
    database::StoreError, entropy::SystemEntropy, id::new_id, testing::TestDatabase,
};
use sea_orm::ConnectionTrait as _;
use sqlx::{PgPool, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use tokio::runtime::Runtime;

/// Callers at once.
const CALLERS: usize = 16;
/// As large as a sealed successor.
const SEALED: usize = 60;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn main() {
    divan::main();
}

/// A session whose token is rotated again and again.
struct Caller {
    session: Session,
    token: OpaqueToken,
}

fn rights_at() -> Position {
    Position::new("bench", 1)
}

async fn begin(database: &TestDatabase, policy: &SessionPolicy) -> Caller {
    let token = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
    let new = NewSession {
        id: SessionId::trusted(new_id(&SystemEntropy)),
        user_id: UserId::trusted(new_id(&SystemEntropy)),
        client: ClientContext::new(ClientId::trusted("bench"), String::new(), ""),
        rights_at: rights_at(),
        token_id: token.id().clone(),
        token_hash: token.hash(),
        now: SystemClock.now(),
        attempt: None,
    };
    let session = mint::begin(database, &new, policy).await.unwrap();
    Caller { session, token }
}

async fn rotate(database: &TestDatabase, caller: &mut Caller, policy: &SessionPolicy) {
    let successor = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
    let now = SystemClock.now();
    let rotation = Rotation {
        session_id: caller.session.id.clone(),
        token_id: caller.token.id().clone(),
        request_id: None,
        successor_id: successor.id().clone(),
        successor_hash: successor.hash(),
        sealed_successor: vec![7; SEALED],
        rights_at: rights_at(),
        now,
        times: SessionTimes::at(now, caller.session.expires_at, policy),
    };
    assert!(refresh::rotate(database, &rotation, policy).await.unwrap());
    caller.token = successor;
}

fn through_the_store(bencher: Bencher, database: &TestDatabase) {
    let policy = SessionPolicy::default();
    let mut callers = RUNTIME.block_on(join_all((0..CALLERS).map(|_| begin(database, &policy))));
    bencher.counter(ItemsCount::new(CALLERS)).bench_local(|| {
        RUNTIME.block_on(join_all(
            callers
                .iter_mut()
                .map(|caller| rotate(database, caller, &policy)),
        ));
    });
}

/// The reference on PostgreSQL: one statement.
async fn mark_and_insert(pool: &PgPool, old: &mut String) {
    const ROTATE: &str = "\
        WITH used AS (UPDATE bare SET used_at = 1 WHERE id = $1 AND used_at IS NULL RETURNING family) \
        INSERT INTO bare (id, family, hash) SELECT $2, family, $3 FROM used";
    let new = new_id(&SystemEntropy);
    sqlx::query(ROTATE)
        .bind(old.as_str())
        .bind(new.as_str())
        .bind(vec![7_u8; 32])
        .execute(pool)
        .await
        .unwrap();
    *old = new;
}

/// The reference on SQLite: a transaction each, of two statements.
async fn mark_then_insert(pool: &SqlitePool, old: &mut String) {
    let new = new_id(&SystemEntropy);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE bare SET used_at = 1 WHERE id = $1 AND used_at IS NULL")
        .bind(old.as_str())
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::query("INSERT INTO bare (id, family, hash) VALUES ($1, 'f', $2)")
        .bind(new.as_str())
        .bind(vec![7_u8; 32])
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    *old = new;
}

/// The table of the references, with a token for each caller.
async fn bare(database: &TestDatabase, hash: &'static str) -> Vec<String> {
    let tokens: Vec<_> = (0..CALLERS).map(|_| new_id(&SystemEntropy)).collect();
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| format!("('{token}', 'f')"))
        .collect();
    let rows = rows.join(", ");
    let written = database.write(move |transaction| {
        let insert = format!("INSERT INTO bare (id, family) VALUES {rows}");
        let create = format!(
            "CREATE TABLE bare (id TEXT PRIMARY KEY, family TEXT, hash {hash}, used_at BIGINT)"
        );
        Box::pin(async move {
            transaction.execute_unprepared(&create).await?;
            transaction.execute_unprepared(&insert).await?;
            Ok::<_, StoreError>(())
        })
    });
    written.await.unwrap();
    tokens
}

#[divan::bench]
fn sqlite_store(bencher: Bencher) {
    let database = RUNTIME.block_on(TestDatabase::sqlite::<Migrator>());
    through_the_store(bencher, &database);
}

#[divan::bench]
fn sqlite_bare(bencher: Bencher) {
    let database = RUNTIME.block_on(TestDatabase::sqlite::<Migrator>());
    // One writer: more would only wait for each other.
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = RUNTIME.block_on(pool.connect(database.url())).unwrap();
    let mut tokens = RUNTIME.block_on(bare(&database, "BLOB"));
    bencher.counter(ItemsCount::new(CALLERS)).bench_local(|| {
        RUNTIME.block_on(join_all(
            tokens
                .iter_mut()
                .map(|token| mark_then_insert(&pool, token)),
        ));
    });
}

#[divan::bench]
fn postgres_store(bencher: Bencher) {
    if let Some(database) = RUNTIME.block_on(TestDatabase::postgres::<Migrator>()) {
        through_the_store(bencher, &database);
    }
}

#[divan::bench]
fn postgres_bare(bencher: Bencher) {
    let Some(database) = RUNTIME.block_on(TestDatabase::postgres::<Migrator>()) else {
        return;
    };
    let pool = PgPoolOptions::new().max_connections(16);
    let pool = RUNTIME.block_on(pool.connect(database.url())).unwrap();
    let mut tokens = RUNTIME.block_on(bare(&database, "BYTEA"));
    bencher.counter(ItemsCount::new(CALLERS)).bench_local(|| {
        RUNTIME.block_on(join_all(
            tokens.iter_mut().map(|token| mark_and_insert(&pool, token)),
        ));
    });
}
