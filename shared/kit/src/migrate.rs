//! Changing the schema: one process at a time, in transactions, and never on a schema of a newer program.

use std::{collections::BTreeSet, fs::File, pin::Pin};

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _,
};

use crate::{
    clock::Clock,
    database::{Database, StoreError, beside, open_private},
};

/// A step of a schema: what makes it out of the one before, in a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What it is known by in the database.
    pub name: &'static str,
    /// Applies it.
    pub up: Up,
}

/// How a step is applied.
pub type Up = for<'t> fn(
    &'t DatabaseTransaction,
) -> Pin<Box<dyn Future<Output = Result<(), DbErr>> + Send + 't>>;

/// A schema.
pub trait Schema {
    /// Its steps, oldest first. One that was released is never changed.
    const STEPS: &'static [Step];
}

/// Runs statements that both engines understand, where `{key}` stands for the type of a text that is compared and ordered
/// byte by byte, so that both list alike, and `{binary}` for that of bytes. For a step.
///
/// # Errors
///
/// The database refused.
pub async fn run(transaction: &DatabaseTransaction, statements: &[&str]) -> Result<(), DbErr> {
    let (key, binary) = match transaction.get_database_backend() {
        DbBackend::Postgres => ("text COLLATE \"C\"", "bytea"),
        _ => ("text", "blob"),
    };
    for statement in statements {
        let statement = statement.replace("{key}", key).replace("{binary}", binary);
        transaction.execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// The steps in these modules, each of which is known by its module's name and has a function `up`.
#[macro_export]
macro_rules! steps {
    ($($module:ident),* $(,)?) => {
        &[$($crate::migrate::Step {
            name: stringify!($module),
            up: |transaction| Box::pin($module::up(transaction)),
        }),*]
    };
}

/// The lock of the schema on PostgreSQL; any number, the same in every version of the program.
const LOCK: i64 = 0x6964_656e_7469_7479;

/// Which steps have been applied, and when, in seconds. Named as the migrator of `SeaORM` names it, which filled it
/// first.
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS seaql_migrations (
    version varchar NOT NULL PRIMARY KEY,
    applied_at bigint NOT NULL
)";

/// SQLite takes its lock for writing at once, instead of failing when somebody wrote since the first read.
const IMMEDIATE: TransactionOptions = TransactionOptions {
    isolation_level: None,
    access_mode: None,
    sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
};

/// Why a program cannot work with a schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database has never been migrated.
    #[error("the database has no schema yet: run `migrate`")]
    Missing,
    /// The schema is older than the program.
    #[error(
        "the schema of the database is older than this program: run `migrate` (next is {next})"
    )]
    Behind {
        /// The first step that is to be applied.
        next: String,
    },
    /// The schema is newer than the program.
    #[error("the schema of the database is newer than this program, which does not know {unknown}")]
    Future {
        /// A step that has been applied and is unknown here.
        unknown: String,
    },
    /// The schema could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the schema was not brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The schema is newer than the program.
    #[error(transparent)]
    Schema(SchemaError),
    /// A step or the lock failed.
    #[error("the schema could not be changed")]
    Store(#[from] StoreError),
}

impl From<DbErr> for MigrateError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Applies what has not been applied: on a new database all in one transaction, later each step in its own, so
/// that none waits with its locks for the others.
///
/// Of several processes at once one migrates, and the others wait and then find nothing to do.
///
/// # Errors
///
/// The schema is newer than this program, or the database refused.
pub async fn migrate<S: Schema>(database: &Database) -> Result<(), MigrateError> {
    // Each step commits together with the row that says so: where no row is absent nothing is left to do, and
    // the usual start needs neither the lock nor connections of its own.
    if pending::<S>(database.aside()).await? == Pending::Nothing {
        return Ok(());
    }
    let connection = database.unbounded();
    let applied = apply::<S>(database, &connection).await;
    let closed = connection.close().await.map_err(MigrateError::from);
    applied.and(closed)
}

/// Whether the schema is exactly the one that this program knows.
///
/// # Errors
///
/// How it differs.
pub async fn check_schema<S: Schema>(database: &Database) -> Result<(), SchemaError> {
    check::<S>(database.aside()).await
}

/// What has not been applied.
#[derive(PartialEq, Eq)]
enum Pending {
    Nothing,
    Some,
    Everything,
}

async fn apply<S: Schema>(
    database: &Database,
    connection: &DatabaseConnection,
) -> Result<(), MigrateError> {
    let _lock = lock(database, connection).await?;
    match pending::<S>(connection).await? {
        Pending::Nothing => {}
        Pending::Some => {
            let applied = applied(connection).await?.unwrap_or_default();
            for step in S::STEPS {
                if !applied.contains(step.name) {
                    let transaction = connection.begin_with_options(IMMEDIATE).await?;
                    take(&transaction, step, database.clock()).await?;
                    transaction.commit().await?;
                }
            }
        }
        Pending::Everything => {
            let transaction = connection.begin_with_options(IMMEDIATE).await?;
            transaction.execute_unprepared(CREATE_TABLE).await?;
            for step in S::STEPS {
                take(&transaction, step, database.clock()).await?;
            }
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// Applies a step and notes that.
async fn take(
    transaction: &DatabaseTransaction,
    step: &Step,
    clock: &dyn Clock,
) -> Result<(), DbErr> {
    (step.up)(transaction).await?;
    let note = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ($1, $2)",
        [step.name.into(), clock.now().seconds().into()],
    );
    transaction.execute_raw(note).await?;
    tracing::debug!(step = step.name, "the schema has changed");
    Ok(())
}

async fn pending<S: Schema>(connection: &DatabaseConnection) -> Result<Pending, MigrateError> {
    match check::<S>(connection).await {
        Ok(()) => Ok(Pending::Nothing),
        Err(SchemaError::Missing) => Ok(Pending::Everything),
        Err(SchemaError::Behind { .. }) => Ok(Pending::Some),
        Err(SchemaError::Store(error)) => Err(error.into()),
        Err(error @ SchemaError::Future { .. }) => Err(MigrateError::Schema(error)),
    }
}

async fn check<S: Schema>(connection: &DatabaseConnection) -> Result<(), SchemaError> {
    let Some(applied) = applied(connection).await? else {
        return Err(SchemaError::Missing);
    };
    let is_known = |name: &String| S::STEPS.iter().any(|step| step.name == *name);
    if let Some(unknown) = applied.iter().find(|name| !is_known(name)) {
        return Err(SchemaError::Future {
            unknown: unknown.clone(),
        });
    }
    if applied.is_empty() && !S::STEPS.is_empty() {
        return Err(SchemaError::Missing);
    }
    let next = S::STEPS.iter().find(|step| !applied.contains(step.name));
    next.map_or(Ok(()), |step| {
        Err(SchemaError::Behind {
            next: step.name.to_owned(),
        })
    })
}

/// The names of the steps that have been applied; `None` when the database was never migrated.
async fn applied(connection: &DatabaseConnection) -> Result<Option<BTreeSet<String>>, StoreError> {
    let backend = connection.get_database_backend();
    let all = Statement::from_string(backend, "SELECT version FROM seaql_migrations");
    match connection.query_all_raw(all).await {
        Ok(rows) => {
            let names = rows.iter().map(|row| row.try_get("", "version"));
            Ok(Some(names.collect::<Result<_, _>>()?))
        }
        // Whether the table is there costs PostgreSQL more than reading it, so that is asked only now.
        Err(error) if has_table(connection).await? => Err(error.into()),
        Err(_) => Ok(None),
    }
}

async fn has_table(connection: &DatabaseConnection) -> Result<bool, StoreError> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT to_regclass('seaql_migrations') IS NOT NULL AS found",
        _ => {
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations') AS found"
        }
    };
    let row = connection
        .query_one_raw(Statement::from_string(backend, sql))
        .await?;
    Ok(row.is_some_and(|row| row.try_get("", "found").unwrap_or(false)))
}

/// Waits for the right to change the schema. On PostgreSQL the session of the only connection has it, on SQLite the
/// file: the server or the operating system takes it back when the process ends, however it ends.
async fn lock(
    database: &Database,
    connection: &DatabaseConnection,
) -> Result<Option<File>, StoreError> {
    let Some(file) = database.file() else {
        let lock = Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT pg_advisory_lock($1)",
            [LOCK.into()],
        );
        connection.execute_raw(lock).await?;
        return Ok(None);
    };
    let lock = open_private(&beside(file, ".migrate-lock"))?;
    let locked = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
    match locked {
        Ok(Ok(lock)) => Ok(Some(lock)),
        Ok(Err(error)) => Err(StoreError::unavailable(error.to_string())),
        Err(error) => Err(StoreError::unavailable(error.to_string())),
    }
}
