//! SQLite: one file, one writer, a pool of readers.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, SqlxSqliteConnector, Statement,
};
use sqlx::{
    ConnectOptions as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Context, DatabaseConfig, StoreError,
    group::{Job, QUEUE, Writer},
    work::{Ended, Work},
};
use crate::{clock::SharedClock, position::Position};

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Steps of the engine between two looks at the clock: less than a millisecond.
const STEPS: i32 = 20_000;

pub(super) struct Sqlite {
    file: PathBuf,
    bounded: DatabaseConnection,
    options: SqliteConnectOptions,
    queue: mpsc::Sender<Job>,
    closing: CancellationToken,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Released by the operating system when the process ends, however it ends.
    _serving: Option<File>,
}

impl Sqlite {
    pub(super) async fn connect(
        config: &DatabaseConfig,
        context: &Context,
    ) -> Result<(Self, DatabaseConnection, DatabaseConnection), StoreError> {
        if config.url.contains(":memory:") || config.url.contains("mode=memory") {
            return Err(StoreError::unavailable("the database must be a file"));
        }
        let options = SqliteConnectOptions::from_str(&config.url)
            .map_err(|error| StoreError::unavailable(error.to_string()))?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What is deleted is overwritten, and not only forgotten until its place is used again.
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY_TIMEOUT)
            .create_if_missing(true)
            .disable_statement_logging();
        let file = options.get_filename().to_owned();
        create(&file)?;
        let serving = config.exclusive.then(|| serve_lock(&file)).transpose()?;

        // The writer connects first: a new file becomes a WAL database before any reader looks at it. And it stays:
        // closing the last connection of a database writes its log back and removes it, with several syncs.
        let connection = single(options.clone());
        connection.ping().await?;

        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let readers = config
            .max_connections
            .unwrap_or_else(|| u32::try_from(cores).unwrap_or(2));
        let reading = options.clone().pragma("query_only", "ON");
        let reader = SqlitePoolOptions::new()
            .max_connections(readers.max(1))
            .acquire_timeout(config.timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(reading.clone());
        let aside = single(reading.clone());
        let bounded =
            SqlxSqliteConnector::from_sqlx_sqlite_pool(bounded(reading, readers, config, context));

        let (queue, jobs) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let opened = options.clone();
        let writer = tokio::spawn(
            Writer {
                connection,
                open: Arc::new(move || single(opened.clone())),
                context: context.clone(),
                queue: jobs,
                closing: closing.clone(),
                job_time: config.timeout,
            }
            .run(),
        );
        let engine = Self {
            file,
            bounded,
            options,
            queue,
            closing,
            writer: Mutex::new(Some(writer)),
            _serving: serving,
        };
        let reader = SqlxSqliteConnector::from_sqlx_sqlite_pool(reader);
        Ok((engine, reader, aside))
    }

    pub(super) async fn write(&self, work: Work) -> Result<Option<Position>, Ended> {
        let (caller, answer) = oneshot::channel();
        if self.queue.send(Job::new(work, caller)).await.is_err() {
            return Err(StoreError::unavailable("the database is closed").into());
        }
        match answer.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => resume_unwind(panic),
            // The writer ended with this write in its hands.
            Err(_) => Err(StoreError::UnknownOutcome.into()),
        }
    }

    pub(super) async fn close(&self) {
        self.closing.cancel();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the database writer failed");
        }
    }

    /// Writes the log back and empties it, between two writes.
    pub(super) async fn checkpoint(&self) -> Result<bool, StoreError> {
        let connection = self.dedicated();
        let row = connection
            .query_one_raw(Statement::from_string(
                DbBackend::Sqlite,
                "PRAGMA wal_checkpoint(TRUNCATE)",
            ))
            .await?;
        drop(connection.close().await);
        // The first column says whether a reader or writer stood in the way.
        let busy: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(busy == Some(0))
    }

    pub(super) fn dedicated(&self) -> DatabaseConnection {
        single(self.options.clone())
    }

    pub(super) const fn bounded(&self) -> &DatabaseConnection {
        &self.bounded
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

/// Connections whose every use ends after the bound of a statement, also in the middle of one.
fn bounded(
    options: SqliteConnectOptions,
    readers: u32,
    config: &DatabaseConfig,
    context: &Context,
) -> SqlitePool {
    let (opened, used) = (context.clock.clone(), context.clock.clone());
    let time = config.timeout;
    SqlitePoolOptions::new()
        .max_connections(readers.max(1))
        .acquire_timeout(time)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(bound(connection, opened.clone(), time)))
        .before_acquire(move |connection, _| {
            let bound = bound(connection, used.clone(), time);
            Box::pin(async move { bound.await.map(|()| true) })
        })
        .connect_lazy_with(options)
}

/// Lets a connection be used for this long from now.
async fn bound(
    connection: &mut SqliteConnection,
    clock: SharedClock,
    time: Duration,
) -> Result<(), sqlx::Error> {
    let until = clock.elapsed() + time;
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(STEPS, move || clock.elapsed() < until);
    Ok(())
}

/// One connection, which opens when it is first used.
fn single(options: SqliteConnectOptions) -> DatabaseConnection {
    SqlxSqliteConnector::from_sqlx_sqlite_pool(
        SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options),
    )
}

/// The file with a suffix behind its name.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a file that only its owner may read, and creates it when it is absent.
pub(crate) fn open_private(path: &Path) -> Result<File, StoreError> {
    private(path).map_err(|error| file_error(path, &error))
}

/// The same for whoever has words of their own for what failed.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// SQLite gives its side files the mode of the main one.
fn create(file: &Path) -> Result<(), StoreError> {
    if let Some(folder) = file.parent()
        && !folder.as_os_str().is_empty()
    {
        fs::create_dir_all(folder).map_err(|error| file_error(folder, &error))?;
    }
    // Never opened again when present: closing any handle of a database drops the locks of its process.
    if !file.exists() {
        open_private(file)?;
    }
    Ok(())
}

fn serve_lock(file: &Path) -> Result<File, StoreError> {
    let path = beside(file, ".lock");
    let lock = open_private(&path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::unavailable(format!(
            "another process serves {}",
            file.display()
        ))),
        Err(TryLockError::Error(error)) => Err(file_error(&path, &error)),
    }
}

fn file_error(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(DbErr::Custom(format!("{}: {error}", path.display())))
}
