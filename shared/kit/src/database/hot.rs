//! The hot path of reading: one row by one key, on connections that stay at hand.
//!
//! A pool tests a connection whenever it comes back, which takes as long as the read itself. Here a connection is
//! kept from one read to the next, for a moment and only while nothing failed on it; then the pool has it again,
//! with its tests, its bound of age and its waiting callers.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{DbErr, QueryResult, RuntimeErr};
use sqlx::{Encode, Executor, IntoArguments, Pool, Type, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
};

use crate::clock::SharedClock;

/// How long a connection stays away from its pool.
const LEASE: Duration = Duration::from_secs(1);

pub(super) struct Hot<DB: sqlx::Database> {
    pool: Pool<DB>,
    clock: SharedClock,
    runtime: Handle,
    /// One for each connection that may be kept; none in a pool of one.
    places: Option<Semaphore>,
    /// Nothing once it is closed.
    kept: Mutex<Option<Vec<Kept<DB>>>>,
}

struct Kept<DB: sqlx::Database> {
    connection: PoolConnection<DB>,
    /// Of the clock's steady time.
    until: Duration,
}

impl<DB: sqlx::Database> Hot<DB> {
    /// Keeps at most half of the pool, so that nobody else waits for what is only kept.
    pub(super) fn new(pool: &Pool<DB>, clock: SharedClock) -> Self {
        let places = pool.options().get_max_connections() as usize / 2;
        Self {
            pool: pool.clone(),
            clock,
            runtime: Handle::current(),
            places: (places > 0).then(|| Semaphore::new(places)),
            kept: Mutex::new(Some(Vec::new())),
        }
    }

    /// The first row of a statement with one parameter, or with a number as the second one.
    pub(super) async fn first(
        &self,
        sql: &'static str,
        key: &str,
        number: Option<i64>,
    ) -> Result<Option<QueryResult>, DbErr>
    where
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        DB::Arguments: IntoArguments<DB>,
        QueryResult: From<DB::Row>,
    {
        let place = self.place().await?;
        let kept = place.as_ref().and_then(|_| self.take());
        let mut used = match kept {
            Some(kept) => kept,
            None => Kept {
                connection: self
                    .pool
                    .acquire()
                    .await
                    .map_err(|error| DbErr::Conn(cause(error)))?,
                until: self.clock.elapsed() + LEASE,
            },
        };
        // When it fails, or the caller leaves in the middle, the pool has the connection back and looks at it.
        let mut query = sqlx::query(sql).bind(key);
        if let Some(number) = number {
            query = query.bind(number);
        }
        let row = query
            .fetch_optional(&mut *used.connection)
            .await
            .map_err(|error| DbErr::Query(cause(error)))?;
        if place.is_some() {
            self.keep(used);
        }
        Ok(row.map(QueryResult::from))
    }

    /// A place, for which a read waits no longer than for a connection of the pool.
    async fn place(&self) -> Result<Option<SemaphorePermit<'_>>, DbErr> {
        let Some(places) = &self.places else {
            return Ok(None);
        };
        if let Ok(place) = places.try_acquire() {
            return Ok(Some(place));
        }
        let patience = self.pool.options().get_acquire_timeout();
        let place = tokio::time::timeout(patience, places.acquire()).await;
        // It is never closed, so it is the time that was over.
        match place.map(Result::ok) {
            Ok(Some(place)) => Ok(Some(place)),
            _ => Err(DbErr::Conn(cause(sqlx::Error::PoolTimedOut))),
        }
    }

    /// A kept connection whose time is not over.
    fn take(&self) -> Option<Kept<DB>> {
        let kept = self.lock().as_mut()?.pop()?;
        (self.clock.elapsed() < kept.until).then_some(kept)
    }

    fn keep(&self, used: Kept<DB>) {
        if let Some(kept) = self.lock().as_mut() {
            kept.push(used);
        }
    }

    /// Gives everything back for good: the end of a pool waits for all of its connections.
    pub(super) fn close(&self) {
        // The pool takes them back in tasks of their own.
        let _context = self.runtime.enter();
        drop(self.lock().take());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Kept<DB>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<DB: sqlx::Database> Drop for Hot<DB> {
    fn drop(&mut self) {
        self.close();
    }
}

fn cause(error: sqlx::Error) -> RuntimeErr {
    RuntimeErr::SqlxError(error.into())
}
