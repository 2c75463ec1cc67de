//! Group commit on SQLite: one writer runs the queued writes in one transaction.
//!
//! A savepoint for each would cost as much as the write itself. So they run without: when one fails after it has
//! changed something, all is rolled back, those before it run again, and from then on each has a savepoint.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{
    Context, StoreError, WriteTransaction,
    error::Fault,
    work::{Ended, Work},
};
use crate::{
    outbox::{self, Told},
    position::Position,
};

/// Most writes that share a commit.
const MAX_BATCH: usize = 64;
/// After this much work a batch takes no further write.
const BATCH_TIME: Duration = Duration::from_millis(10);
/// Writes that may wait; further callers wait for a place.
pub(super) const QUEUE: usize = 1_024;

/// How a panic of a write travels to its caller.
type Answer = Result<Result<Option<Position>, Ended>, Panic>;
type Panic = Box<dyn Any + Send>;

/// A queued write.
pub(super) struct Job {
    work: Work,
    span: Span,
    result: Option<Result<Result<(), Ended>, Panic>>,
    caller: oneshot::Sender<Answer>,
}

impl Job {
    pub(super) fn new(work: Work, caller: oneshot::Sender<Answer>) -> Self {
        Self {
            work,
            span: Span::current(),
            result: None,
            caller,
        }
    }

    /// Whether nobody waits for it.
    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    /// Runs it; whether its savepoint is to be kept.
    async fn run(&mut self, transaction: &WriteTransaction) -> bool {
        let work = async { (self.work)(transaction).await }.instrument(self.span.clone());
        let outcome = tokio::select! {
            outcome = AssertUnwindSafe(work).catch_unwind() => outcome,
            // All others wait for this write, and nobody for its outcome.
            () = self.caller.closed() => return false,
        };
        let result = outcome.map(|is_good| match (is_good, transaction.failure()) {
            (true, None) => Ok(()),
            (true, Some(failure)) => Err(Ended::Failed(failure.into())),
            (false, _) => Err(Ended::Refused),
        });
        let keep = matches!(result, Ok(Ok(())));
        self.result = Some(result);
        keep
    }

    /// Answers the caller.
    fn answer(self, outcome: Result<Option<Position>, StoreError>) {
        let answer = match (self.result, outcome) {
            (Some(Err(panic)), _) => Err(panic),
            (Some(Ok(Err(ended))), _) => Ok(Err(ended)),
            (_, Err(error)) => Ok(Err(error.into())),
            (Some(Ok(Ok(()))), Ok(position)) => Ok(Ok(position)),
            (None, Ok(_)) => Ok(Err(StoreError::unavailable("the write was not run").into())),
        };
        // A caller that left has no use for the answer.
        drop(self.caller.send(answer));
    }
}

/// A write that has been taken from the queue.
struct Taken {
    job: Job,
    /// Whether it is part of the commit.
    kept: bool,
    told: Told,
    /// Why it is not part of the commit, if the job itself does not know.
    refusal: Option<StoreError>,
}

impl Taken {
    /// How many events of the feed are its.
    fn count(&self) -> u64 {
        self.told.events.len() as u64
    }
}

/// What ended a whole batch.
enum Broken {
    BeforeCommit(DbErr),
    AtCommit(DbErr),
}

impl From<DbErr> for Broken {
    fn from(error: DbErr) -> Self {
        Self::BeforeCommit(error)
    }
}

impl Broken {
    /// The error of each caller.
    fn error(&self) -> StoreError {
        match self {
            Self::BeforeCommit(error) => error.clone().into(),
            // Busy: the engine gave up before it wrote. Anything else can strike after the commit was written.
            Self::AtCommit(error) if Fault::of(error) == Fault::Busy => error.clone().into(),
            Self::AtCommit(_) => StoreError::UnknownOutcome,
        }
    }
}

/// The task that writes.
pub(super) struct Writer {
    pub(super) connection: DatabaseConnection,
    /// Opens another one, once the state of the first is not known any more.
    pub(super) open: Arc<dyn Fn() -> DatabaseConnection + Send + Sync>,
    pub(super) context: Context,
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) closing: CancellationToken,
    /// A write that takes longer holds up all others: it is rolled back.
    pub(super) job_time: Duration,
}

impl Writer {
    pub(super) async fn run(mut self) {
        while let Some(job) = self.next().await {
            if let Err(broken) = self.batch(job).await {
                let (Broken::BeforeCommit(error) | Broken::AtCommit(error)) = &broken;
                tracing::error!(%error, "a batch of writes failed");
                drop(self.connection.close_by_ref().await);
                self.connection = (self.open)();
            }
        }
        drop(self.connection.close_by_ref().await);
    }

    /// Waits for a write; `None` when closed and drained.
    async fn next(&mut self) -> Option<Job> {
        if !self.closing.is_cancelled() {
            tokio::select! {
                job = self.queue.recv() => return job,
                () = self.closing.cancelled() => {}
            }
        }
        self.queue.close();
        self.queue.recv().await
    }

    /// Commits a write together with those that are queued, and answers them all.
    async fn batch(&mut self, first: Job) -> Result<(), Broken> {
        let mut batch = Vec::new();
        let outcome = self.commit(first, &mut batch).await;
        let end = outcome.as_ref().ok().cloned().flatten();
        if end.is_some() {
            self.context.commits.send_replace(());
        }
        // Revisions follow each other in the order of the batch, and `end` is the last one.
        let mut later: u64 = batch.iter().map(Taken::count).sum();
        for taken in batch {
            let events = taken.count();
            let Taken { job, refusal, .. } = taken;
            later -= events;
            let position = end.as_ref().filter(|_| events > 0);
            job.answer(match (&outcome, refusal) {
                (Err(broken), None) => Err(broken.error()),
                (_, Some(refusal)) => Err(refusal),
                (Ok(_), None) => Ok(position.map(|end| Position {
                    epoch: end.epoch.clone(),
                    revision: end.revision - later,
                })),
            });
        }
        outcome.map(|_| ())
    }

    async fn commit(
        &mut self,
        first: Job,
        batch: &mut Vec<Taken>,
    ) -> Result<Option<Position>, Broken> {
        let began = self.context.clock.elapsed();
        let mut next = Some(first);
        let mut transaction = None;
        let mut one_has_failed = false;
        while let Some(job) = next {
            if !job.is_abandoned() {
                batch.push(Taken {
                    job,
                    kept: false,
                    told: Told::default(),
                    refusal: None,
                });
                let Some(taken) = batch.last_mut() else { break };
                let open = match transaction.take() {
                    Some(open) => open,
                    None => begin(&self.connection).await?,
                };
                transaction = if one_has_failed {
                    run_in_savepoint(&open, taken, self.job_time).await?;
                    Some(open)
                } else {
                    let (open, is_sound) = run(open, taken, self.job_time).await;
                    if is_sound {
                        Some(open)
                    } else {
                        one_has_failed = true;
                        open.rollback().await?;
                        self.repeat(batch).await?
                    }
                };
            }
            let spent = self.context.clock.elapsed().saturating_sub(began);
            next = if batch.len() < MAX_BATCH && spent < BATCH_TIME {
                self.queue.try_recv().ok()
            } else {
                None
            };
        }
        let Some(transaction) = transaction else {
            return Ok(None);
        };
        let told: Vec<&Told> = batch.iter().map(|taken| &taken.told).collect();
        let Context { clock, entropy, .. } = &self.context;
        let end = outbox::append(&transaction, &told, clock.now(), &**entropy).await?;
        transaction.commit().await.map_err(Broken::AtCommit)?;
        Ok(end)
    }

    /// Runs those writes of a batch again, in a new transaction, that are part of the commit.
    async fn repeat(&self, batch: &mut [Taken]) -> Result<Option<DatabaseTransaction>, DbErr> {
        let mut transaction = None;
        for taken in batch.iter_mut().filter(|taken| taken.kept) {
            let open = match &mut transaction {
                Some(open) => open,
                none => none.insert(begin(&self.connection).await?),
            };
            run_in_savepoint(open, taken, self.job_time).await?;
        }
        Ok(transaction)
    }
}

async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    connection
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await
}

/// Runs a write. Also says whether the transaction holds nothing but what is to be committed.
async fn run(
    transaction: DatabaseTransaction,
    taken: &mut Taken,
    bound: Duration,
) -> (DatabaseTransaction, bool) {
    let transaction = WriteTransaction::new(transaction);
    let kept = tokio::time::timeout(bound, taken.job.run(&transaction)).await;
    if kept.is_err() {
        taken.refusal = Some(StoreError::unavailable("the write took too long"));
    }
    taken.kept = matches!(kept, Ok(true));
    let is_sound = taken.kept || !transaction.is_touched();
    let (transaction, told) = transaction.into_parts();
    taken.told = if taken.kept { told } else { Told::default() };
    (transaction, is_sound)
}

/// Runs a write in a savepoint, which is kept or rolled back alone.
async fn run_in_savepoint(
    transaction: &DatabaseTransaction,
    taken: &mut Taken,
    bound: Duration,
) -> Result<(), DbErr> {
    let (savepoint, _) = run(transaction.begin().await?, taken, bound).await;
    if taken.kept {
        savepoint.commit().await
    } else {
        savepoint.rollback().await
    }
}
