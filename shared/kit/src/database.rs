//! The store of a service: SQLite in a file or PostgreSQL, chosen by the URL, with the same behaviour.

mod error;
mod group;
mod hot;
mod postgres;
mod sqlite;
mod work;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, QueryResult};
use tokio::sync::watch;

pub(crate) use self::sqlite::{beside, open_private, private};
pub use self::{
    error::StoreError,
    write::{Event, WriteFuture, WriteTransaction, Written},
};
use self::{
    hot::Hot,
    work::{Ended, Place, Work},
};
use crate::{
    clock::{Clock, SharedClock, Timestamp},
    entropy::SharedEntropy,
    position::Position,
};

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: String,
    /// Most connections that read (SQLite) or work (PostgreSQL); `None`: one a core, or ten.
    pub max_connections: Option<u32>,
    /// Whether this process serves the database: on SQLite no second one may.
    pub exclusive: bool,
    /// Bound of a statement, of a wait for a lock or a connection, and of idling in a transaction; on SQLite of a
    /// whole write, since all others wait for it.
    pub timeout: Duration,
}

impl DatabaseConfig {
    /// The defaults, not exclusive.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: None,
            exclusive: false,
            timeout: Duration::from_secs(2),
        }
    }
}

impl fmt::Debug for DatabaseConfig {
    // The URL may carry a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("engine", &self.url.split(':').next().unwrap_or_default())
            .field("max_connections", &self.max_connections)
            .field("exclusive", &self.exclusive)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    engine: Engine,
    reader: DatabaseConnection,
    aside: DatabaseConnection,
    context: Context,
}

enum Engine {
    Sqlite(sqlite::Sqlite, Hot<sqlx::Sqlite>),
    Postgres(postgres::Postgres, Hot<sqlx::Postgres>),
}

/// What writing needs beside a connection.
#[derive(Clone)]
struct Context {
    clock: SharedClock,
    entropy: SharedEntropy,
    /// Changes when this process has committed events.
    commits: watch::Sender<()>,
}

impl Database {
    /// Connects, and on SQLite creates an absent file (readable by its owner alone) and starts the writer.
    ///
    /// Must be called on the runtime that is to carry the connections.
    ///
    /// # Errors
    ///
    /// The URL is unknown, the database cannot be reached, or another process serves the file.
    pub async fn connect(
        config: &DatabaseConfig,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, StoreError> {
        let context = Context {
            clock,
            entropy,
            commits: watch::Sender::new(()),
        };
        let (engine, reader, aside) = match config.url.split(':').next() {
            Some("sqlite") => {
                let (engine, reader, aside) = sqlite::Sqlite::connect(config, &context).await?;
                let pool = reader.get_sqlite_connection_pool();
                let hot = Hot::new(pool, context.clock.clone());
                (Engine::Sqlite(engine, hot), reader, aside)
            }
            Some("postgres" | "postgresql") => {
                let (engine, reader, aside) = postgres::Postgres::connect(config, &context).await?;
                let pool = reader.get_postgres_connection_pool();
                let hot = Hot::new(pool, context.clock.clone());
                (Engine::Postgres(engine, hot), reader, aside)
            }
            _ => {
                return Err(StoreError::unavailable(
                    "the database URL begins with neither sqlite: nor postgres://",
                ));
            }
        };
        Ok(Self(Arc::new(Inner {
            engine,
            reader,
            aside,
            context,
        })))
    }

    /// Connections for reading. On SQLite they refuse to write.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.0.reader
    }

    /// The first row of a statement with one parameter, `$1`; for what is read all the time, since it costs less than
    /// half of what the same read costs on [`reader`](Self::reader).
    ///
    /// # Errors
    ///
    /// The database does not answer, or not to this statement.
    pub async fn read_first(
        &self,
        sql: &'static str,
        key: &str,
    ) -> Result<Option<QueryResult>, StoreError> {
        self.first(sql, key, None).await
    }

    /// The same with a moment as the second parameter, `$2`, in microseconds: for what ends by time.
    ///
    /// # Errors
    ///
    /// The database does not answer, or not to this statement.
    pub async fn read_first_at(
        &self,
        sql: &'static str,
        key: &str,
        at: Timestamp,
    ) -> Result<Option<QueryResult>, StoreError> {
        self.first(sql, key, Some(at.as_micros())).await
    }

    async fn first(
        &self,
        sql: &'static str,
        key: &str,
        at: Option<i64>,
    ) -> Result<Option<QueryResult>, StoreError> {
        let row = match &self.0.engine {
            Engine::Sqlite(_, hot) => hot.first(sql, key, at).await,
            Engine::Postgres(_, hot) => hot.first(sql, key, at).await,
        };
        Ok(row?)
    }

    /// One connection for reading, apart from those of [`reader`](Self::reader): for what is read seldom, and for
    /// statements that follow each other. A pool that has room opens a connection for each of them, since the one
    /// before is still on its way back.
    #[must_use]
    pub fn aside(&self) -> &DatabaseConnection {
        &self.0.aside
    }

    /// Connections for reading on which a statement ends after the bound also on SQLite: for what may have to read much.
    /// Whether an error comes from that is said by [`StoreError::is_timeout`].
    #[must_use]
    pub fn bounded(&self) -> &DatabaseConnection {
        match &self.0.engine {
            Engine::Sqlite(engine, _) => engine.bounded(),
            Engine::Postgres(..) => self.reader(),
        }
    }

    /// The engine in use.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        match self.0.engine {
            Engine::Sqlite(..) => DbBackend::Sqlite,
            Engine::Postgres(..) => DbBackend::Postgres,
        }
    }

    /// Runs `work` in a transaction and commits it together with the events that it emits.
    ///
    /// On PostgreSQL `work` runs again when a concurrent transaction won or the connection was lost before the
    /// commit, and on SQLite when a write that was to share its commit failed; so it must have no effect outside of its
    /// transaction. A write one of whose statements failed is never committed, also where `work` ignores the failure. When the returned future is dropped, the write is
    /// rolled back unless it was already under way to its commit.
    ///
    /// # Errors
    ///
    /// What `work` returned, or why the store did not take the write.
    ///
    /// # Panics
    ///
    /// When `work` does; its write is rolled back.
    pub async fn write<T, E, F>(&self, work: F) -> Result<Written<T>, E>
    where
        F: for<'a> Fn(&'a WriteTransaction) -> WriteFuture<'a, T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (work, place) = Place::of(work);
        let ended = self.run(work).await;
        match (ended, place.take()) {
            (Ok(position), Some(Ok(value))) => Ok(Written { value, position }),
            (Err(Ended::Failed(error)), _) => Err(error.into()),
            (_, Some(Err(error))) => Err(error),
            (_, _) => Err(StoreError::unavailable("the write was not run").into()),
        }
    }

    async fn run(&self, work: Work) -> Result<Option<Position>, Ended> {
        match &self.0.engine {
            Engine::Sqlite(engine, _) => engine.write(work).await,
            Engine::Postgres(engine, _) => {
                engine.write(self.reader(), &self.0.context, &work).await
            }
        }
    }

    /// Writes the log of an SQLite database back and empties it, so that what was deleted is in no file any more; whether
    /// nobody stood in the way. PostgreSQL has no such duty: its old row versions go with its vacuum, and its log with
    /// its own checkpoints.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn checkpoint(&self) -> Result<bool, StoreError> {
        match &self.0.engine {
            Engine::Sqlite(engine, _) => engine.checkpoint().await,
            Engine::Postgres(..) => Ok(true),
        }
    }

    /// Ends the writer after what is queued, and closes the connections.
    pub async fn close(&self) {
        match &self.0.engine {
            Engine::Sqlite(engine, hot) => {
                engine.close().await;
                hot.close();
            }
            Engine::Postgres(_, hot) => hot.close(),
        }
        for connections in [self.reader(), self.aside(), self.bounded()] {
            if connections.close_by_ref().await.is_err() {
                tracing::debug!("database connections did not close cleanly");
            }
        }
    }

    /// Changes whenever this process has committed events.
    pub(crate) fn commits(&self) -> watch::Receiver<()> {
        self.0.context.commits.subscribe()
    }

    /// The time that its writes bear.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.context.clock
    }

    /// One connection apart from the others, which opens when it is first used.
    pub(crate) fn dedicated(&self) -> DatabaseConnection {
        match &self.0.engine {
            Engine::Sqlite(engine, _) => engine.dedicated(),
            Engine::Postgres(engine, _) => engine.dedicated(),
        }
    }

    /// One connection without a bound on the time of a statement, for changing the schema.
    pub(crate) fn unbounded(&self) -> DatabaseConnection {
        match &self.0.engine {
            Engine::Sqlite(engine, _) => engine.dedicated(),
            Engine::Postgres(engine, _) => engine.unbounded(),
        }
    }

    /// The file of an SQLite database.
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        match &self.0.engine {
            Engine::Sqlite(engine, _) => Some(engine.file()),
            Engine::Postgres(..) => None,
        }
    }
}
