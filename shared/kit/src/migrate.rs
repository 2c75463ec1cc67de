//! Changing the schema: one process at a time, in transactions, and never on a schema of a newer program.

use std::{collections::BTreeSet, fs::File, marker::PhantomData};

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbErr, EntityTrait as _, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait as _,
};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, seaql_migrations,
};

use crate::database::{Database, StoreError, beside, open_private};

/// The lock of the schema on PostgreSQL; any number, the same in every version of the program.
const LOCK: i64 = 0x6964_656e_7469_7479;

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
        /// The first migration that is to be applied.
        next: String,
    },
    /// The schema is newer than the program.
    #[error("the schema of the database is newer than this program, which does not know {unknown}")]
    Future {
        /// A migration that has been applied and is unknown here.
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
    /// A migration or the lock failed.
    #[error("the schema could not be changed")]
    Store(#[from] StoreError),
}

impl From<DbErr> for MigrateError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Applies what has not been applied: on a new database all in one transaction, later each migration in its own, so
/// that none waits with its locks for the others.
///
/// Of several processes at once one migrates, and the others wait and then find nothing to do.
///
/// # Errors
///
/// The schema is newer than this program, or the database refused.
pub async fn migrate<M: MigratorTrait>(database: &Database) -> Result<(), MigrateError> {
    // Each migration commits together with the row that says so: where no row is absent nothing is left to do, and
    // the usual start needs neither the lock nor connections of its own.
    if pending::<M>(database.aside()).await? == Pending::Nothing {
        return Ok(());
    }
    let connection = database.unbounded();
    let applied = apply::<M>(database, &connection).await;
    let closed = connection.close().await.map_err(MigrateError::from);
    applied.and(closed)
}

/// Whether the schema is exactly the one that this program knows.
///
/// # Errors
///
/// How it differs.
pub async fn check_schema<M: MigratorTrait>(database: &Database) -> Result<(), SchemaError> {
    check::<M>(database.aside()).await
}

/// What has not been applied.
#[derive(PartialEq, Eq)]
enum Pending {
    Nothing,
    Some,
    Everything,
}

async fn apply<M: MigratorTrait>(
    database: &Database,
    connection: &DatabaseConnection,
) -> Result<(), MigrateError> {
    let _lock = lock(database, connection).await?;
    match pending::<M>(connection).await? {
        Pending::Nothing => {}
        Pending::Some => InTransactions::<M>::up(connection, None).await?,
        Pending::Everything => {
            let transaction = connection.begin_with_options(IMMEDIATE).await?;
            InTransactions::<M>::up(&transaction, None).await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

async fn pending<M: MigratorTrait>(
    connection: &DatabaseConnection,
) -> Result<Pending, MigrateError> {
    match check::<M>(connection).await {
        Ok(()) => Ok(Pending::Nothing),
        Err(SchemaError::Missing) => Ok(Pending::Everything),
        Err(SchemaError::Behind { .. }) => Ok(Pending::Some),
        Err(SchemaError::Store(error)) => Err(error.into()),
        Err(error @ SchemaError::Future { .. }) => Err(MigrateError::Schema(error)),
    }
}

async fn check<M: MigratorTrait>(connection: &DatabaseConnection) -> Result<(), SchemaError> {
    let Some(applied) = applied::<M>(connection).await? else {
        return Err(SchemaError::Missing);
    };
    let known: Vec<String> = M::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    if let Some(unknown) = applied.iter().find(|name| !known.contains(name)) {
        return Err(SchemaError::Future {
            unknown: unknown.clone(),
        });
    }
    if applied.is_empty() && !known.is_empty() {
        return Err(SchemaError::Missing);
    }
    match known.into_iter().find(|name| !applied.contains(name)) {
        Some(next) => Err(SchemaError::Behind { next }),
        None => Ok(()),
    }
}

/// The names of the migrations that have been applied; `None` when the database was never migrated.
async fn applied<M: MigratorTrait>(
    connection: &DatabaseConnection,
) -> Result<Option<BTreeSet<String>>, StoreError> {
    match seaql_migrations::Entity::find().all(connection).await {
        Ok(rows) => Ok(Some(rows.into_iter().map(|row| row.version).collect())),
        Err(error) => {
            // Whether the table is there costs PostgreSQL more than reading it, so that is asked only now.
            let table = M::migration_table_name().to_string();
            if SchemaManager::new(connection).has_table(table).await? {
                Err(error.into())
            } else {
                Ok(None)
            }
        }
    }
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

/// A migrator whose migrations run in transactions on SQLite too, so that none is ever left half applied.
struct InTransactions<M>(PhantomData<M>);

struct InTransaction(Box<dyn MigrationTrait>);

impl<M: MigratorTrait> MigratorTrait for InTransactions<M> {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        M::migrations()
            .into_iter()
            .map(|migration| Box::new(InTransaction(migration)) as Box<dyn MigrationTrait>)
            .collect()
    }

    fn migration_table_name() -> sea_orm::DynIden {
        M::migration_table_name()
    }
}

impl MigrationName for InTransaction {
    fn name(&self) -> &str {
        self.0.name()
    }
}

#[tonic::async_trait]
impl MigrationTrait for InTransaction {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.0.up(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.0.down(manager).await
    }

    fn use_transaction(&self) -> Option<bool> {
        self.0.use_transaction().or(Some(true))
    }
}
