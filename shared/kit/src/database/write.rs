//! One write: its transaction, the events it emits, and what its caller gets.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use crate::{
    audit::{AuditLog, Entry},
    outbox::Told,
    position::Position,
};

/// What a closure given to [`Database::write`](super::Database::write) returns.
pub type WriteFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// A committed write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// What the closure returned.
    pub value: T,
    /// The position of its last event; `None` when it emitted none.
    pub position: Option<Position>,
}

/// A change that followers of this database's feed learn of.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: &'static str,
    /// To whom: ids, never personal data.
    pub payload: serde_json::Value,
}

/// The transaction of one write.
pub struct WriteTransaction {
    inner: DatabaseTransaction,
    told: Mutex<Told>,
    failure: Mutex<Option<DbErr>>,
    /// Whether anything but a read was tried.
    changed: AtomicBool,
}

impl WriteTransaction {
    pub(super) fn new(inner: DatabaseTransaction) -> Self {
        Self {
            inner,
            told: Mutex::default(),
            failure: Mutex::default(),
            changed: AtomicBool::new(false),
        }
    }

    /// Appends an event, which is committed with this write or not at all.
    pub fn emit(&self, event: Event) {
        lock(&self.told).events.push(event);
    }

    /// Writes an entry of the audit log, which is committed with this write or not at all.
    pub fn audit(&self, log: &Arc<AuditLog>, entry: Entry) {
        lock(&self.told).entries.push((Arc::clone(log), entry));
    }

    /// Whether it has told the feed something and the audit log nothing.
    #[must_use]
    pub fn is_unaudited(&self) -> bool {
        let told = lock(&self.told);
        !told.events.is_empty() && told.entries.is_empty()
    }

    /// The first failure of a statement.
    pub(super) fn failure(&self) -> Option<DbErr> {
        lock(&self.failure).clone()
    }

    /// Whether it may have left anything in its transaction: a change, or whatever a failed statement leaves.
    pub(super) fn is_touched(&self) -> bool {
        self.changed.load(Ordering::Relaxed) || lock(&self.failure).is_some()
    }

    pub(super) fn into_parts(self) -> (DatabaseTransaction, Told) {
        let told = self.told.into_inner();
        (self.inner, told.unwrap_or_else(PoisonError::into_inner))
    }

    fn announce(&self, sql: &str) {
        if !sql.trim_start().starts_with("SELECT ") {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    fn note<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        if let Err(error) = &result {
            lock(&self.failure).get_or_insert_with(|| error.clone());
        }
        result
    }
}

#[tonic::async_trait]
impl ConnectionTrait for WriteTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.announce(&statement.sql);
        self.note(self.inner.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.announce(sql);
        self.note(self.inner.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.announce(&statement.sql);
        self.note(self.inner.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.announce(&statement.sql);
        self.note(self.inner.query_all_raw(statement).await)
    }
}

/// Locks what no panic can leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
