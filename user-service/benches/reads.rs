//! Reads of the store: a user with roles and permissions against the same statement in bare sqlx, and pages of a
//! list at its beginning and far behind it. PostgreSQL takes part where `TEST_POSTGRES_URL` names a server.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot run says so by failing"
)]

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use divan::Bencher;
use identity_kit::{
    clock::{Clock, SharedClock, SystemClock},
    entropy::SystemEntropy,
    secret::{RootSecret, Secret},
    testing::TestDatabase,
};
use sea_orm::{ConnectionTrait, DbBackend};
use sqlx::{PgPool, Row, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use tokio::runtime::Runtime;
use user_service::{
    domain::{
        id::UserId,
        user::{UserCursor, UserFilter, UserOrder},
    },
    setup,
    store::{Audit, RightsCache, Store, migration::Migrator},
};

/// Users in the list.
const USERS: u64 = 60_000;
/// Users of a page.
const PAGE: u64 = 50;
/// The user who is read, with the role viewer and two direct permissions.
const READER: &str = "u30000";

/// What the store asks in one statement, as one would write it by hand for one user.
const AGGREGATE: &str = "SELECT u.*, h.epoch, h.revision,
    (SELECT string_agg(r.id || ' ' || r.name, ',') FROM user_roles ur
        JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id) AS roles,
    (SELECT string_agg(held.name, ',') FROM (
        SELECT p.name FROM permissions p WHERE EXISTS (
            SELECT 1 FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id AND r.built_in)
        UNION SELECT p.name FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
            JOIN permissions p ON p.id = rp.permission_id WHERE ur.user_id = u.id
        UNION SELECT p.name FROM user_permissions up
            JOIN permissions p ON p.id = up.permission_id WHERE up.user_id = u.id
    ) held) AS permissions
    FROM users u CROSS JOIN feed_head h WHERE u.id = $1";

enum Bare {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

struct Bed {
    store: Store,
    bare: Bare,
    _database: TestDatabase,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SQLITE: LazyLock<Bed> = LazyLock::new(|| {
    RUNTIME.block_on(async { bed(TestDatabase::sqlite::<Migrator>().await).await })
});
static POSTGRES: LazyLock<Option<Bed>> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        match TestDatabase::postgres::<Migrator>().await {
            Some(database) => Some(bed(database).await),
            None => None,
        }
    })
});

fn beds() -> impl Iterator<Item = &'static str> {
    ["sqlite"]
        .into_iter()
        .chain(POSTGRES.as_ref().map(|_| "postgres"))
}

fn named(engine: &str) -> &'static Bed {
    match engine {
        "postgres" => POSTGRES.as_ref().unwrap(),
        _ => &SQLITE,
    }
}

async fn bed(database: TestDatabase) -> Bed {
    let clock: SharedClock = Arc::new(SystemClock);
    let rights = RightsCache::new(Arc::clone(&clock), Duration::from_secs(5));
    let root = RootSecret::new(&Secret::new(vec![0; 32]));
    let audit = Audit::new(&root, Arc::clone(&clock));
    let store = Store::new(database.database().clone(), Arc::new(rights), audit);
    let permissions = setup::rules().unwrap().permissions();
    store
        .reconcile(permissions, Arc::new(SystemEntropy), clock.now())
        .await
        .unwrap();
    fill(&store).await;
    let bare = match store.database().backend() {
        DbBackend::Postgres => {
            Bare::Postgres(PgPoolOptions::new().connect(database.url()).await.unwrap())
        }
        _ => Bare::Sqlite(
            SqlitePoolOptions::new()
                .connect(database.url())
                .await
                .unwrap(),
        ),
    };
    Bed {
        store,
        bare,
        _database: database,
    }
}

async fn fill(store: &Store) {
    let users = format!(
        "INSERT INTO users
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS})
        SELECT 'u' || i, 'user' || i, 'user' || i, 'u' || i || '@example.org', 'u' || i || '@example.org', false,
            'Some', 'Body', NULL, '', '', '', '', '', '', 'active', '', t.id, i, i, 1
        FROM n CROSS JOIN user_types t"
    );
    let grants = [
        users,
        format!("INSERT INTO user_roles SELECT '{READER}', id, 1 FROM roles WHERE name = 'viewer'"),
        format!(
            "INSERT INTO user_permissions SELECT '{READER}', id, 1 FROM permissions
            WHERE name IN ('users.create', 'users.update')"
        ),
    ];
    store
        .database()
        .write(move |transaction| {
            let grants = grants.clone();
            Box::pin(async move {
                for statement in grants {
                    transaction.execute_unprepared(&statement).await?;
                }
                Ok::<_, user_service::store::Error>(())
            })
        })
        .await
        .unwrap();
}

#[divan::bench(args = beds())]
fn full_user_by_the_store(bencher: Bencher<'_, '_>, engine: &str) {
    let (bed, id) = (named(engine), UserId::parse(READER).unwrap());
    bencher.bench_local(|| {
        let found = RUNTIME
            .block_on(bed.store.find_full_user(&id, true, SystemClock.now()))
            .unwrap()
            .unwrap();
        assert!(!found.permissions.is_empty());
        found
    });
}

#[divan::bench(args = beds())]
fn full_user_by_bare_sqlx(bencher: Bencher<'_, '_>, engine: &str) {
    let bed = named(engine);
    bencher.bench_local(|| {
        RUNTIME.block_on(async {
            match &bed.bare {
                Bare::Sqlite(pool) => {
                    let row = sqlx::query(AGGREGATE)
                        .bind(READER)
                        .fetch_one(pool)
                        .await
                        .unwrap();
                    (
                        row.get::<String, _>("username"),
                        row.get::<String, _>("permissions"),
                    )
                }
                Bare::Postgres(pool) => {
                    let row = sqlx::query(AGGREGATE)
                        .bind(READER)
                        .fetch_one(pool)
                        .await
                        .unwrap();
                    (
                        row.get::<String, _>("username"),
                        row.get::<String, _>("permissions"),
                    )
                }
            }
        })
    });
}

/// A page of the list, newest first, after so many pages.
fn page(bencher: Bencher<'_, '_>, engine: &str, pages_before: u64) {
    let bed = named(engine);
    let filter = UserFilter {
        status: None,
        user_type_id: None,
        role_id: None,
        permission: None,
        query: None,
        created_after: None,
        created_before: None,
        order: UserOrder::CreatedDescending,
    };
    let at = USERS - pages_before * PAGE;
    let after = UserCursor::Created {
        at: i64::try_from(at).unwrap(),
        id: format!("u{at}"),
    };
    bencher.bench_local(|| {
        let page = RUNTIME
            .block_on(
                bed.store
                    .list_users(&filter, Some(&after), PAGE, SystemClock.now()),
            )
            .unwrap();
        assert_eq!(page.items.len(), 50);
        page
    });
}

#[divan::bench(args = beds())]
fn page_1(bencher: Bencher<'_, '_>, engine: &str) {
    page(bencher, engine, 0);
}

#[divan::bench(args = beds())]
fn page_1000(bencher: Bencher<'_, '_>, engine: &str) {
    page(bencher, engine, 999);
}

fn main() {
    divan::main();
}
