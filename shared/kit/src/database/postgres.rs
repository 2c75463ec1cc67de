//! PostgreSQL: a pool of connections with bounded statements; each write is a transaction of its own.

use std::{
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sea_orm::{DatabaseConnection, DbErr, SqlxPostgresConnector, TransactionTrait as _};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    Context, DatabaseConfig, StoreError, WriteTransaction,
    error::Fault,
    work::{Ended, Work},
};
use crate::{
    clock::{SharedClock, micros},
    entropy, outbox,
    position::Position,
};

const MAX_CONNECTIONS: u32 = 10;
/// Connections are renewed, so that they follow a moved address and give memory back.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// A connection idle for longer is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// Times a write is tried.
const ATTEMPTS: u32 = 4;
/// Bound of the first wait between them, in milliseconds; it doubles.
const BACKOFF_MILLIS: u64 = 8;

pub(super) struct Postgres {
    options: PgConnectOptions,
    timeout: Duration,
    suspicion: Arc<Suspicion>,
}

/// Connections opened before a moment are not used again: their server went away or became a standby.
struct Suspicion {
    clock: SharedClock,
    /// Microseconds of the clock's steady time.
    until: AtomicI64,
}

impl Suspicion {
    fn raise(&self) {
        self.until
            .fetch_max(micros(self.clock.elapsed()), Ordering::Relaxed);
    }

    fn covers(&self, age: Duration) -> bool {
        let opened = self.clock.elapsed().saturating_sub(age);
        micros(opened) < self.until.load(Ordering::Relaxed)
    }
}

/// A try that did not commit.
struct Failed {
    ended: Ended,
    /// Whether nothing was written and another try may succeed.
    again: bool,
}

impl Postgres {
    pub(super) async fn connect(
        config: &DatabaseConfig,
        context: &Context,
    ) -> Result<(Self, DatabaseConnection, DatabaseConnection), StoreError> {
        let options = PgConnectOptions::from_str(&config.url)
            .map_err(|_| StoreError::unavailable("the database URL is malformed"))?
            .disable_statement_logging();
        let suspicion = Arc::new(Suspicion {
            clock: context.clock.clone(),
            until: AtomicI64::new(0),
        });
        let engine = Self {
            options,
            timeout: config.timeout,
            suspicion,
        };
        let pool = engine
            .pool()
            .max_connections(config.max_connections.unwrap_or(MAX_CONNECTIONS));
        let reader = SqlxPostgresConnector::from_sqlx_postgres_pool(
            pool.connect_lazy_with(engine.bounded()),
        );
        let aside = engine.dedicated();
        aside.ping().await?;
        Ok((engine, reader, aside))
    }

    fn bounded(&self) -> PgConnectOptions {
        let bound = format!("{}ms", self.timeout.as_millis());
        self.options.clone().options([
            ("statement_timeout", bound.as_str()),
            ("lock_timeout", &bound),
            ("idle_in_transaction_session_timeout", &bound),
            // Compiling a statement takes a second where running it takes a millisecond; tables that are too new
            // to have been analysed look dear enough for it.
            ("jit", "off"),
        ])
    }

    fn pool(&self) -> PgPoolOptions {
        let suspicion = Arc::clone(&self.suspicion);
        PgPoolOptions::new()
            .acquire_timeout(self.timeout)
            .max_lifetime(MAX_LIFETIME)
            // A round trip for each use; the hook below asks only when there is a reason.
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(refuse_standby(connection)))
            .before_acquire(move |connection, meta| {
                let suspect = suspicion.covers(meta.age);
                Box::pin(async move {
                    if !suspect && meta.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(!suspect)
                })
            })
    }

    pub(super) fn dedicated(&self) -> DatabaseConnection {
        SqlxPostgresConnector::from_sqlx_postgres_pool(
            self.pool()
                .max_connections(1)
                .connect_lazy_with(self.bounded()),
        )
    }

    pub(super) fn unbounded(&self) -> DatabaseConnection {
        SqlxPostgresConnector::from_sqlx_postgres_pool(
            PgPoolOptions::new()
                .max_connections(1)
                // Its session holds the lock of the schema, so no other one may take its place unnoticed.
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .connect_lazy_with(self.options.clone()),
        )
    }

    pub(super) async fn write(
        &self,
        connection: &DatabaseConnection,
        context: &Context,
        work: &Work,
    ) -> Result<Option<Position>, Ended> {
        let mut attempt = 1;
        loop {
            match self.attempt(connection, context, work).await {
                Ok(position) => {
                    if position.is_some() {
                        context.commits.send_replace(());
                    }
                    return Ok(position);
                }
                Err(Failed { ended, again }) if !again || attempt == ATTEMPTS => return Err(ended),
                Err(_) => {
                    // Spread, so that those who collided do not meet again.
                    let [random] = entropy::bytes(&*context.entropy);
                    let millis = (BACKOFF_MILLIS << attempt) * u64::from(random) / 255;
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    attempt += 1;
                }
            }
        }
    }

    /// One transaction. Dropped on the way, it is rolled back.
    async fn attempt(
        &self,
        connection: &DatabaseConnection,
        context: &Context,
        work: &Work,
    ) -> Result<Option<Position>, Failed> {
        let begun = connection
            .begin()
            .await
            .map_err(|error| self.failed(error))?;
        let transaction = WriteTransaction::new(begun);
        let is_good = work(&transaction).await;
        let failure = transaction.failure();
        let (transaction, told) = transaction.into_parts();
        match (is_good, failure) {
            (true, None) => {}
            // The server has ended the transaction, and its COMMIT would silently roll back.
            (true, Some(failure)) => return Err(self.failed(failure)),
            (false, failure) => {
                // Dropping it rolls back as well; waiting here frees its locks before the caller goes on.
                drop(transaction.rollback().await);
                return Err(Failed {
                    ended: Ended::Refused,
                    again: failure.is_some_and(|failure| self.failed(failure).again),
                });
            }
        }
        let appended = outbox::append(
            &transaction,
            &[&told],
            context.clock.now(),
            &*context.entropy,
        )
        .await;
        let position = appended.map_err(|error| self.failed(error))?;
        match transaction.commit().await {
            Ok(()) => Ok(position),
            Err(error) => Err(self.failed_commit(error)),
        }
    }

    /// A failure before the commit was sent.
    fn failed(&self, error: DbErr) -> Failed {
        let fault = Fault::of(&error);
        if fault == Fault::Disconnected {
            self.suspicion.raise();
        }
        Failed {
            ended: StoreError::from(error).into(),
            again: matches!(fault, Fault::Conflict | Fault::Disconnected),
        }
    }

    /// A failure of the commit itself: only what the server refused by rule was surely not written.
    fn failed_commit(&self, error: DbErr) -> Failed {
        match Fault::of(&error) {
            Fault::Conflict | Fault::Unique(_) | Fault::ForeignKey => self.failed(error),
            _ => {
                tracing::error!(%error, "a commit was not answered");
                self.suspicion.raise();
                Failed {
                    ended: StoreError::UnknownOutcome.into(),
                    again: false,
                }
            }
        }
    }
}

/// Authority is read on the primary: after a failover the old address may lead to a standby.
async fn refuse_standby(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // Not prepared: that would be another round trip for a statement that is run once.
    let row = connection
        .fetch_one(sqlx::raw_sql("SHOW transaction_read_only"))
        .await?;
    let read_only: &str = row.try_get(0)?;
    if read_only == "on" {
        return Err(sqlx::Error::Protocol(
            "the database is read-only".to_owned(),
        ));
    }
    Ok(())
}
