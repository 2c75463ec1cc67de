//! What is over goes, and nothing comes back to life for it.

use std::{path::Path, sync::Arc, time::Duration};

use auth_service::{
    domain::{account::AccountStatus, id::UserId, policy::SessionPolicy},
    housekeeping::Housekeeping,
    store::{
        endings::{self, Ending},
        housekeeping::sweep,
        migration::Migrator,
        mint, sessions, user_feed,
    },
};
use identity_guard::{
    clock::{Clock as _, SharedClock, SystemClock},
    position::Position,
};
use identity_kit::{
    database::{Database, StoreError},
    testing::{TestDatabase, databases},
};
use identity_proto::auth::v1::RevokeAllSessionsRequest;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::{
    control::rounds,
    harness::{ADA, BOB, PASSWORD, World, as_user, worlds},
    mint::new_session,
};

const EVE: &str = "eve";

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_goes_when_nothing_needs_it_and_comes_back_no_younger() {
    let policy = SessionPolicy::default();
    for world in worlds().await {
        let service = world.start().await;
        let database = &service.app.authority().database;
        let sweep = async || sweep(database, world.clock.now(), &policy).await.unwrap();
        let tokens = service.login("ada").await;
        service.login("bob").await;
        let request = RevokeAllSessionsRequest {
            user_id: ADA.to_owned(),
            keep_current: false,
        };
        let request = as_user(&tokens.access_token, request);
        let mut sessions = service.sessions.clone();
        sessions.revoke_all_sessions(request).await.unwrap();
        assert_eq!(subjects(database).await, [(ADA.to_owned(), 2), bob(1)]);

        // Nothing goes while a token may be accepted.
        world.clock.advance(policy.access_token_life);
        assert_eq!(sweep().await, 0);
        world.clock.advance(policy.leeway);
        sweep().await;
        assert_eq!(rows(database, "sessions").await, 1);
        assert_eq!(subjects(database).await, [(ADA.to_owned(), 2), bob(1)]);

        // Nor while somebody may be under way who has read that the subject is there.
        let last = policy.subject_rest().saturating_sub(SECOND);
        world.clock.advance(last);
        sweep().await;
        assert_eq!(subjects(database).await, [(ADA.to_owned(), 2), bob(1)]);
        world.clock.advance(SECOND);
        sweep().await;
        assert_eq!(subjects(database).await, [bob(1)]);

        let tokens = service.login("ada").await;
        let answer = service.validate(&tokens.access_token).await.unwrap();
        assert_eq!(answer.generation, 2);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_is_about_to_go_stays_for_who_logs_in_again() {
    let policy = SessionPolicy::default();
    for world in worlds().await {
        let service = world.start().await;
        let database = &service.app.authority().database;
        let sweep = async || sweep(database, world.clock.now(), &policy).await.unwrap();
        let tokens = service.login("ada").await;
        service.logout(&tokens.access_token).await.unwrap();
        world
            .clock
            .advance(policy.access_token_life + policy.leeway);
        sweep().await;
        assert_eq!(rows(database, "sessions").await, 0);
        let tokens = service.login("ada").await;
        for _ in 0..3 {
            world.clock.advance(policy.subject_rest());
            sweep().await;
            assert_eq!(subjects(database).await, [(ADA.to_owned(), 1)]);
        }
        service.refresh(&tokens.refresh_token).await.unwrap();

        // Also a session that is over by itself lets its subject go.
        world.clock.advance(policy.idle_life + policy.leeway);
        // The sealed successor first, whose time was over long before.
        sweep().await;
        sweep().await;
        world.clock.advance(policy.subject_rest());
        sweep().await;
        assert_eq!(subjects(database).await, []);
        for table in ["sessions", "refresh_tokens", "throttles"] {
            assert_eq!(rows(database, table).await, 0, "{table}");
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_was_made_for_a_refusal_goes_as_well() {
    let policy = SessionPolicy::default();
    for world in worlds().await {
        let service = world.start().await;
        let database = &service.app.authority().database;
        world
            .directory
            .change(ADA, |ada| ada.status = AccountStatus::Suspended);
        service.try_login("ada", PASSWORD).await.unwrap_err();
        let last = policy.subject_rest().saturating_sub(SECOND);
        for (age, left) in [(last, 1), (SECOND, 0)] {
            world.clock.advance(age);
            sweep(database, world.clock.now(), &policy).await.unwrap();
            assert_eq!(rows(database, "subjects").await, left);
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_never_falls_however_often_its_subject_goes() {
    let policy = SessionPolicy::default();
    let position = Position::new("a", 1);
    for database in databases::<Migrator>().await {
        let mut now = SystemClock.now();
        let mut last = 0;
        for ends in [1, 0, 3, 0, 1] {
            let new = new_session(EVE, position.clone(), None, now);
            let session = mint::begin(&database, &new, &policy).await.unwrap();
            assert!(session.generation >= last);
            last = session.generation + ends;
            for _ in 0..ends {
                let ending = Ending::new(UserId::trusted(EVE), now, &policy);
                endings::end_all(&database, &ending).await.unwrap();
            }
            assert_eq!(subjects(&database).await, [(EVE.to_owned(), last)]);
            for _ in 0..3 {
                now = now.plus(policy.idle_life + policy.subject_rest());
                sweep(&database, now, &policy).await.unwrap();
            }
            assert_eq!(subjects(&database).await, []);
        }
        assert_eq!(last, 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_beside_a_sweep_finds_its_subject_or_makes_it_no_younger() {
    let policy = SessionPolicy::default();
    for database in databases::<Migrator>().await {
        let mut now = SystemClock.now();
        for round in 0..rounds() {
            // Every second one was ended.
            let new = new_session(EVE, Position::new("a", 1), None, now);
            let before = mint::begin(&database, &new, &policy).await.unwrap();
            let ending = Ending::new(UserId::trusted(EVE), now, &policy);
            if round % 2 == 0 {
                endings::end_all(&database, &ending).await.unwrap();
            }
            now = now.plus(policy.idle_life + policy.leeway);
            sweep(&database, now, &policy).await.unwrap();
            now = now.plus(policy.subject_rest());
            let new = new_session(EVE, Position::new("a", 1), None, now);
            let (begun, swept) = tokio::join!(
                mint::begin(&database, &new, &policy),
                sweep(&database, now, &policy)
            );
            let (session, _) = (begun.unwrap(), swept.unwrap());
            assert!(session.generation >= before.generation + u64::from(round % 2 == 0));
            let stays = [(EVE.to_owned(), session.generation)];
            assert_eq!(subjects(&database).await, stays, "round {round}");
            let (reader, eve) = (database.reader(), UserId::trusted(EVE));
            let live = sessions::list_live(reader, &eve, None, 10, now).await;
            assert_eq!(live.unwrap(), [session]);
            endings::end_all(&database, &ending).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_go_batch_by_batch() {
    /// More than two batches of five hundred.
    const COUNT: u64 = 1_203;
    let policy = SessionPolicy::default();
    for database in databases::<Migrator>().await {
        let now = SystemClock.now();
        let fill = format!(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {COUNT}) \
             INSERT INTO sessions (id, user_id, client_id, ip_address, user_agent, generation, amr, \
             authenticated_at, created_at, refreshed_at, idle_expires_at, expires_at, token_expires_at, \
             current_token_id, due_at) \
             SELECT 's' || n, 'u' || n, '', '', '', 7, '[]', 0, 0, 0, 0, 0, 0, '', 0 FROM number; \
             INSERT INTO subjects (user_id, generation, user_epoch, user_revision) \
             SELECT user_id, 7, '', 0 FROM sessions"
        );
        database
            .write(move |transaction| {
                let fill = fill.clone();
                Box::pin(async move {
                    transaction.execute_unprepared(&fill).await?;
                    Ok::<_, StoreError>(())
                })
            })
            .await
            .unwrap();
        assert_eq!(sweep(&database, now, &policy).await.unwrap(), COUNT);
        assert_eq!(rows(&database, "sessions").await, 0);
        assert_eq!(rows(&database, "subjects").await, COUNT);
        let later = now.plus(policy.subject_rest());
        assert_eq!(sweep(&database, later, &policy).await.unwrap(), COUNT);
        assert_eq!(rows(&database, "subjects").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_finds_nothing_writes_nothing() {
    let policy = SessionPolicy::default();
    for world in worlds().await {
        let service = world.start().await;
        service.login("ada").await;
        let now = world.clock.now();
        service.stop().await;
        // Whoever wrote now would wait for longer than it may.
        let _lock = Lock::take(&world).await;
        assert_eq!(sweep(&world.database, now, &policy).await.unwrap(), 0);
        let later = now.plus(policy.idle_life * 2);
        sweep(&world.database, later, &policy).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_in_no_file_after_the_next_turn() {
    const AGENT: &str = "zebedee-browser/1.0";
    const SESSION: &str = "INSERT INTO sessions (id, user_id, client_id, ip_address, user_agent, generation, amr, \
        authenticated_at, created_at, refreshed_at, idle_expires_at, expires_at, token_expires_at, \
        current_token_id, due_at) \
        VALUES ('s', 'zebedee', '', '', 'zebedee-browser/1.0', 1, '[]', 0, 0, 0, 0, 0, 0, '', 0)";
    let policy = SessionPolicy::default();
    let test = TestDatabase::sqlite::<Migrator>().await;
    let (database, file) = (test.database().clone(), test.file().unwrap());
    let log = file.with_file_name("test.db-wal");
    let has = |file: &Path| {
        let bytes = std::fs::read(file).unwrap();
        bytes
            .windows(AGENT.len())
            .any(|text| text == AGENT.as_bytes())
    };
    database
        .write(|transaction| {
            Box::pin(async move {
                transaction.execute_unprepared(SESSION).await?;
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
    let clock: SharedClock = Arc::new(SystemClock);
    let zebedee = Ending::new(UserId::trusted("zebedee"), clock.now(), &policy);
    user_feed::erase(&database, &zebedee).await.unwrap();
    assert!(has(&log), "it stands in the log until that is emptied");
    let housekeeping = Housekeeping {
        database,
        memory: Arc::default(),
        clock,
        policy,
    };
    housekeeping.turn(&mut None).await.unwrap();
    assert!(!has(&log) && !has(&file));
}

/// Keeps everybody else from writing.
enum Lock {
    Sqlite { _holder: SqliteConnection },
    Postgres { _holder: PgConnection },
}

impl Lock {
    async fn take(world: &World) -> Self {
        const TABLES: &str = "sessions, refresh_tokens, challenges, throttles, subjects";
        let url = world.database.url();
        if world.database.backend() == DbBackend::Postgres {
            let mut holder = PgConnection::connect(url).await.unwrap();
            let lock = format!("BEGIN; LOCK TABLE {TABLES} IN EXCLUSIVE MODE");
            holder
                .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock)))
                .await
                .unwrap();
            Self::Postgres { _holder: holder }
        } else {
            let mut holder = SqliteConnection::connect(url).await.unwrap();
            holder.execute("BEGIN IMMEDIATE").await.unwrap();
            Self::Sqlite { _holder: holder }
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn bob(generation: u64) -> (String, u64) {
    (BOB.to_owned(), generation)
}

/// Who has a row, with its generation.
async fn subjects(database: &Database) -> Vec<(String, u64)> {
    let reader = database.reader();
    let sql = "SELECT user_id, generation FROM subjects ORDER BY user_id";
    let rows = reader
        .query_all_raw(Statement::from_string(reader.get_database_backend(), sql))
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let generation: i64 = row.try_get("", "generation").unwrap();
            (
                row.try_get("", "user_id").unwrap(),
                generation.unsigned_abs(),
            )
        })
        .collect()
}

pub(crate) async fn rows(database: &Database, table: &str) -> u64 {
    let reader = database.reader();
    let sql = format!("SELECT COUNT(*) AS rows FROM {table}");
    let row = reader
        .query_one_raw(Statement::from_string(reader.get_database_backend(), sql))
        .await
        .unwrap()
        .unwrap();
    row.try_get::<i64>("", "rows").unwrap().unsigned_abs()
}
