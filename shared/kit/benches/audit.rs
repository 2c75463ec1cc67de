//! What the audit log costs a write: the same row and event of the feed without and with an entry, one write alone and
//! sixty-four at once. PostgreSQL takes part where `TEST_POSTGRES_URL` names a server.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot run says so by failing"
)]

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering},
};

use divan::{Bencher, counter::ItemsCount};
use futures_util::future::join_all;
use identity_kit::{
    audit::{self, Act, Actor, AuditLog, Entry, Outcome, Record, Subject},
    database::{Database, Event, StoreError},
    migrate::{Schema, Step},
    outbox,
    secret::{RootSecret, Secret},
    steps,
    testing::TestDatabase,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use serde_json::json;
use tokio::runtime::Runtime;

struct Migrator;

impl Schema for Migrator {
    const STEPS: &'static [Step] = steps![m0001_first];
}

mod m0001_first {
    use super::{ConnectionTrait as _, DatabaseTransaction, DbErr, audit, outbox};

    pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        outbox::create_tables(transaction).await?;
        audit::create_tables(transaction).await?;
        let table = "CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT NOT NULL)";
        transaction.execute_unprepared(table).await?;
        Ok(())
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SQLITE: LazyLock<TestDatabase> =
    LazyLock::new(|| RUNTIME.block_on(TestDatabase::sqlite::<Migrator>()));
static POSTGRES: LazyLock<Option<TestDatabase>> =
    LazyLock::new(|| RUNTIME.block_on(TestDatabase::postgres::<Migrator>()));
static LOG: LazyLock<Arc<AuditLog>> =
    LazyLock::new(|| Arc::new(AuditLog::new(&RootSecret::new(&Secret::new(vec![1; 32])))));
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What a write tells the audit log.
#[derive(Clone, Copy, Debug)]
enum Told {
    Nothing,
    Plain,
    Personal,
}

const TOLD: [Told; 3] = [Told::Nothing, Told::Plain, Told::Personal];

fn main() {
    divan::main();
}

async fn write(database: Database, told: Told) {
    let id = format!("item{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let written = database.write(move |transaction| {
        let id = id.clone();
        Box::pin(async move {
            let insert = Statement::from_sql_and_values(
                transaction.get_database_backend(),
                "INSERT INTO item (id, name) VALUES ($1, $1)",
                [id.as_str().into()],
            );
            transaction.execute_raw(insert).await?;
            transaction.emit(Event {
                kind: "item_created",
                payload: json!({ "item_id": id }),
            });
            let record = match told {
                Told::Nothing => return Ok::<_, StoreError>(()),
                Told::Plain => Record::default().changed("role_ids", None::<String>, ["role"]),
                Told::Personal => Record::default()
                    .personal("email", None::<String>, ["ada@example.org"])
                    .personal("last_name", None::<String>, ["Lovelace"]),
            };
            let act = Act::new(Actor::user("administrator", "session"), "CreateItem")
                .by_request("request")
                .on(Subject::new("item", id));
            let outcome = Outcome::Done;
            transaction.audit(
                &LOG,
                Entry {
                    act,
                    outcome,
                    record,
                },
            );
            Ok(())
        })
    });
    written.await.unwrap();
}

fn many(bencher: Bencher, database: &TestDatabase, told: Told, count: usize) {
    bencher.counter(ItemsCount::new(count)).bench(|| {
        RUNTIME.block_on(async {
            let writes = (0..count).map(|_| tokio::spawn(write(database.database().clone(), told)));
            join_all(writes).await
        })
    });
}

#[divan::bench(args = TOLD, sample_count = 200)]
fn sqlite_one(bencher: Bencher, told: Told) {
    many(bencher, &SQLITE, told, 1);
}

#[divan::bench(args = TOLD, sample_count = 100)]
fn sqlite_at_once(bencher: Bencher, told: Told) {
    many(bencher, &SQLITE, told, 64);
}

#[divan::bench(args = TOLD, sample_count = 200)]
fn postgres_one(bencher: Bencher, told: Told) {
    if let Some(database) = &*POSTGRES {
        many(bencher, database, told, 1);
    }
}

#[divan::bench(args = TOLD, sample_count = 100)]
fn postgres_at_once(bencher: Bencher, told: Told) {
    if let Some(database) = &*POSTGRES {
        many(bencher, database, told, 64);
    }
}
