//! Following the own feed: every event in order, how fresh that is, and a reset when the history changed.

use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    append::{beat, beat_now},
    hint,
    read::{Cursor, Head, Read, StoredEvent, head, read},
};
use crate::{
    clock::{SharedClock, Timestamp},
    database::{Database, StoreError},
    position::Position,
};

/// Between two looks at the feed when this process commits nothing itself.
const POLL: Duration = Duration::from_millis(25);
/// The same after a failure.
const RETRY: Duration = Duration::from_millis(250);
/// Between two heartbeats of all processes together.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Most events of one read.
const BATCH: u64 = 500;

/// What is done with the feed. A failed call is repeated, so that nothing is skipped.
#[tonic::async_trait]
pub trait TailHandler: Send + Sync + 'static {
    /// Takes events in order; after a reset some may come again.
    ///
    /// # Errors
    ///
    /// They could not be applied and are to be given again.
    async fn apply(&self, events: &[StoredEvent]) -> Result<(), StoreError>;

    /// Everything up to the position has been applied, and that was everything at `at` of [`Clock::elapsed`].
    ///
    /// [`Clock::elapsed`]: crate::clock::Clock::elapsed
    fn fresh(&self, position: &Position, at: Duration);

    /// Builds the state anew from the database: first of all, and whenever the history is another one.
    ///
    /// # Errors
    ///
    /// It could not be built and is to be tried again.
    async fn reset(&self) -> Result<(), StoreError>;
}

/// A position was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReached {
    /// Not in time.
    #[error("the position was not reached in time")]
    Late,
    /// It is of another history.
    #[error("the position is of another epoch")]
    OtherEpoch,
    /// The tail has ended.
    #[error("the feed is not followed any more")]
    Ended,
}

/// How far a task has followed the feed of its own database.
#[derive(Debug)]
pub struct Tail {
    applied: watch::Receiver<Position>,
}

impl Tail {
    /// Starts to follow, until cancelled, in the task that comes with it. On PostgreSQL it also keeps the heartbeat.
    pub fn spawn(
        database: &Database,
        clock: SharedClock,
        cancel: CancellationToken,
        handler: Arc<dyn TailHandler>,
    ) -> (Self, JoinHandle<()>) {
        let (publish, applied) = watch::channel(Position::default());
        let (beaten, heartbeats) = watch::channel(None);
        let (heard, hints) = watch::channel(());
        let follower = Follower {
            connection: database.dedicated(),
            commits: database.commits(),
            hints,
            heartbeats,
            freshness: Freshness::new(database.backend()),
            clock: Arc::clone(&clock),
            handler,
            applied: publish,
        };
        let database = database.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = follower.run() => {}
                () = keep_beating(database.clone(), clock, beaten) => {}
                () = hint::exchange(database, heard) => {}
            }
        });
        (Self { applied }, task)
    }

    /// The position up to which events have been applied; the default position before the first reset is done.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Position> {
        self.applied.clone()
    }

    /// Waits until a position has been applied.
    ///
    /// # Errors
    ///
    /// It was not, within the deadline.
    pub async fn wait_for(&self, position: &Position, deadline: Instant) -> Result<(), NotReached> {
        let mut applied = self.applied();
        let reached = applied.wait_for(|at| {
            at.reaches(position) || (at.epoch != position.epoch && !at.epoch.is_empty())
        });
        match tokio::time::timeout_at(deadline, reached).await {
            Ok(Ok(at)) if at.epoch == position.epoch => Ok(()),
            Ok(Ok(_)) => Err(NotReached::OtherEpoch),
            Ok(Err(_)) => Err(NotReached::Ended),
            Err(_) => Err(NotReached::Late),
        }
    }
}

struct Follower {
    connection: DatabaseConnection,
    commits: watch::Receiver<()>,
    /// Changes when another process has committed events.
    hints: watch::Receiver<()>,
    /// When the last heartbeat that this process committed was begun.
    heartbeats: watch::Receiver<Option<Duration>>,
    freshness: Freshness,
    clock: SharedClock,
    handler: Arc<dyn TailHandler>,
    applied: watch::Sender<Position>,
}

impl Follower {
    async fn run(mut self) {
        let mut cursor = None;
        let mut failing = false;
        loop {
            self.commits.mark_unchanged();
            self.hints.mark_unchanged();
            let pause = match self.round(&mut cursor).await {
                Ok(()) => {
                    if failing {
                        tracing::info!("the feed is followed again");
                    }
                    failing = false;
                    POLL
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(error = ?error, "the feed cannot be followed");
                    }
                    failing = true;
                    RETRY
                }
            };
            // A commit of this process wakes at once, as the hint of another one does; the clock finds the rest.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.commits.changed(), if !failing => {
                    if changed.is_err() { return }
                }
                changed = self.hints.changed(), if !failing => {
                    if changed.is_err() { return }
                }
                changed = self.heartbeats.changed(), if !failing => {
                    if changed.is_err() { return }
                }
            }
        }
    }

    /// Catches up with the feed.
    async fn round(&mut self, cursor: &mut Option<Cursor>) -> Result<(), StoreError> {
        loop {
            let at = self.clock.elapsed();
            // Acknowledged before the read begins: what was committed when it was begun is in the read.
            let own_heartbeat = *self.heartbeats.borrow_and_update();
            let Some(from) = cursor else {
                // The cursor is taken before the state is built: what is committed meanwhile comes again.
                let (_, start) = head(&self.connection).await?;
                self.handler.reset().await?;
                self.applied.send_replace(start.position.clone());
                self.freshness.forget();
                *cursor = Some(start);
                continue;
            };
            match read(&self.connection, from, BATCH).await? {
                Read::Reset => {
                    tracing::warn!("the feed is of another history, beginning anew");
                    *cursor = None;
                }
                Read::Events { head, events } => {
                    if let Some(last) = events.last() {
                        self.handler.apply(&events).await?;
                        *from = last.cursor();
                        self.applied.send_replace(last.position.clone());
                    }
                    let fresh = self.freshness.observe(&head, at, own_heartbeat);
                    if from.position.revision >= head.revision {
                        if let Some(at) = fresh {
                            self.handler.fresh(&from.position, at);
                        }
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// As of when a read is known to have been complete.
struct Freshness {
    /// Whether a read alone proves it. On PostgreSQL an isolated old primary still answers reads, so only what was
    /// committed does.
    by_read: bool,
    /// The last heartbeat and revision seen, and when that read began.
    seen: Option<(Timestamp, u64, Duration)>,
    proven: Option<Duration>,
}

impl Freshness {
    fn new(backend: DbBackend) -> Self {
        Self {
            by_read: backend == DbBackend::Sqlite,
            seen: None,
            proven: None,
        }
    }

    fn forget(&mut self) {
        self.seen = None;
        self.proven = None;
    }

    /// Takes a read that began at `at`, after a heartbeat of this process; when the feed was last proven alive.
    fn observe(
        &mut self,
        head: &Head,
        at: Duration,
        own_heartbeat: Option<Duration>,
    ) -> Option<Duration> {
        if self.by_read {
            return Some(at);
        }
        let now = (head.heartbeat_at, head.revision);
        if let Some((heartbeat, revision, before)) = self.seen
            && (heartbeat, revision) != now
        {
            // Absent in the read before, so it was committed after that one began.
            self.proven = Some(before);
        }
        self.seen = Some((now.0, now.1, at));
        self.proven = self.proven.max(own_heartbeat);
        self.proven
    }
}

/// Sees to a heartbeat a second, apart from reading: under synchronous replication its commit may hang.
async fn keep_beating(
    database: Database,
    clock: SharedClock,
    beaten: watch::Sender<Option<Duration>>,
) {
    if database.backend() == DbBackend::Sqlite {
        return std::future::pending().await;
    }
    let mut last: Option<Duration> = None;
    loop {
        let at = clock.elapsed();
        // The first one comes at once, so that a process that starts is not stale for a second.
        let outcome = match last {
            None => beat_now(&database, &*clock).await,
            Some(last) if at.saturating_sub(last) >= HEARTBEAT => beat(&database, &*clock).await,
            Some(_) => {
                tokio::time::sleep(POLL).await;
                continue;
            }
        };
        match outcome {
            Ok(committed) => {
                last = Some(at);
                if committed {
                    beaten.send_replace(Some(at));
                }
            }
            Err(error) => {
                tracing::debug!(error = ?error, "no heartbeat");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
