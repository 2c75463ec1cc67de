//! Follows the own feed into the files that outlive the database.

use std::{
    fs::{File, TryLockError},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{Files, Marker, RestoreError, Standing, State, compare, files, journal};
use crate::{
    background::Background,
    database::{Database, StoreError},
    outbox::{self, Cursor, Read, StoredEvent},
    position::Position,
    shutdown::Shutdown,
};

/// Between two writes at least; and before another try.
const EVERY: Duration = Duration::from_secs(1);
/// Most events that are read at once.
const BATCH: u64 = 500;

/// Whom an event erases, if anybody.
pub type Erasure = fn(&StoredEvent) -> Option<&str>;

/// Writes marker and journal, at most once a second and only when something was committed. Of several processes with
/// the same folder one writes.
pub struct Keeper {
    database: Database,
    state: State,
    erasure: Option<Erasure>,
    applied: watch::Receiver<Position>,
}

impl Keeper {
    /// A keeper that looks whenever the feed has come further, as `applied` tells. With an `erasure` there is a journal.
    #[must_use]
    pub const fn new(
        database: Database,
        state: State,
        erasure: Option<Erasure>,
        applied: watch::Receiver<Position>,
    ) -> Self {
        Self {
            database,
            state,
            erasure,
            applied,
        }
    }

    /// Works beside the calls. When the database was put back beneath them, they end at once.
    pub fn spawn(self, background: &mut Background, shutdown: Shutdown) -> Kept {
        let until = background.until();
        let (tell, outcome) = oneshot::channel();
        background.spawn(async move {
            if let Err(error) = self.run(until).await {
                tracing::error!(%error, "the database is not served any longer");
                // It is read at the end, if anybody asks.
                let _ = tell.send(error);
                // Whatever it would still answer is wrong.
                shutdown.force();
            }
        });
        Kept(outcome)
    }

    /// Works until cancelled, and once more then.
    ///
    /// # Errors
    ///
    /// The database was put back beneath this process, which must not serve it any longer. Whatever else fails is
    /// logged and tried again.
    async fn run(mut self, cancel: CancellationToken) -> Result<(), RestoreError> {
        let Some(files) = self.state.files.clone() else {
            return Ok(());
        };
        let Some(_lock) = cancel.run_until_cancelled(lock(&files)).await else {
            return Ok(());
        };
        let mut failing = false;
        loop {
            let last = cancel.is_cancelled();
            self.applied.mark_unchanged();
            // The first change behind a silence is not waited for.
            let mut pause = Duration::ZERO;
            match self.round(&files).await {
                Ok(has_written) => {
                    failing = false;
                    if has_written {
                        pause = EVERY;
                    }
                }
                Err(error) if is_verdict(&error) => return Err(error),
                Err(error) => {
                    if !failing {
                        tracing::error!(%error, "what outlives the database was not written");
                    }
                    failing = true;
                    pause = EVERY;
                }
            }
            if last {
                return Ok(());
            }
            let next = async {
                sleep(pause).await;
                if !failing && self.applied.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            // When it is cancelled, one round is left.
            let _ = cancel.run_until_cancelled(next).await;
        }
    }

    /// Comes from the marker to the end of the feed; whether there was anything to write.
    async fn round(&self, files: &Files) -> Result<bool, RestoreError> {
        let state = self.state.clone();
        let marker = blocking(move || state.marker()).await?;
        let mut round = Round {
            keeper: self,
            files,
            journal_bytes: marker.as_ref().map_or(0, |marker| marker.journal_bytes),
            journal_since: marker.as_ref().map_or(0, |marker| marker.journal_since),
            reached: None,
        };
        match marker {
            None => {
                round.begin_journal().await?;
                round.take_from(0).await?;
            }
            Some(marker) => {
                let standing = compare(self.database.aside(), &marker).await?;
                self.state.require(standing, files, &marker)?;
                match standing {
                    Standing::Ended(revision) => {
                        // As far as this folder had come in what both histories share.
                        let from = revision.min(marker.cursor.position.revision);
                        let (head, _) = outbox::head(self.database.aside()).await?;
                        if head.floor > from + 1 {
                            round.miss_some().await?;
                        } else {
                            round.journal_since = round.journal_since.min(from);
                        }
                        round.take_from(from).await?;
                    }
                    Standing::Trimmed => {
                        round.miss_some().await?;
                        round.take_from(marker.cursor.position.revision).await?;
                    }
                    _ => round.follow(marker.cursor).await?,
                }
            }
        }
        let Some(cursor) = round.reached else {
            return Ok(false);
        };
        let marker = Marker {
            cursor,
            journal_bytes: round.journal_bytes,
            journal_since: round.journal_since,
        };
        let state = self.state.clone();
        blocking(move || state.mark(&marker)).await?;
        Ok(true)
    }
}

/// What came of keeping.
#[derive(Debug)]
pub struct Kept(oneshot::Receiver<RestoreError>);

impl Kept {
    /// The outcome, after the end.
    ///
    /// # Errors
    ///
    /// The database was put back.
    pub fn outcome(mut self) -> Result<(), RestoreError> {
        self.0.try_recv().map_or(Ok(()), Err)
    }
}

/// One way from the marker to the end of the feed.
struct Round<'k> {
    keeper: &'k Keeper,
    files: &'k Files,
    journal_bytes: u64,
    journal_since: u64,
    /// Where the marker has to be moved to.
    reached: Option<Cursor>,
}

impl Round<'_> {
    /// The journal tells from now on of what has not been trimmed.
    async fn begin_journal(&mut self) -> Result<(), RestoreError> {
        let (head, _) = outbox::head(self.keeper.database.aside()).await?;
        self.journal_since = head.floor.saturating_sub(1);
        Ok(())
    }

    /// Takes what follows a place, in its history.
    async fn follow(&mut self, mut at: Cursor) -> Result<(), RestoreError> {
        loop {
            match outbox::read(self.keeper.database.aside(), &at, BATCH).await? {
                // Since it was compared: the next round sees with what.
                Read::Reset => return Err(StoreError::Conflict.into()),
                Read::Events { events, .. } => {
                    let Some(last) = events.last() else {
                        return Ok(());
                    };
                    at = last.cursor();
                    self.take(&events).await?;
                }
            }
        }
    }

    /// What the database has trimmed was never taken: the journal begins anew, and says so.
    async fn miss_some(&mut self) -> Result<(), RestoreError> {
        if self.keeper.erasure.is_some() {
            tracing::error!("the journal of erasures has a gap: it was away for too long");
        }
        self.begin_journal().await
    }

    /// Takes what is there above a revision, and comes to the end in any case.
    async fn take_from(&mut self, mut revision: u64) -> Result<(), RestoreError> {
        let connection = self.keeper.database.aside();
        loop {
            let events = outbox::read_after(connection, revision, BATCH).await?;
            let Some(last) = events.last() else { break };
            revision = last.position.revision;
            self.take(&events).await?;
        }
        if self.reached.is_none() {
            let (_, cursor) = outbox::head(connection).await?;
            self.reached = Some(cursor);
        }
        Ok(())
    }

    async fn take(&mut self, events: &[StoredEvent]) -> Result<(), RestoreError> {
        if let Some(erasure) = self.keeper.erasure {
            let erased = events.iter().filter_map(erasure);
            let ids: Vec<_> = erased.map(str::to_owned).collect();
            if !ids.is_empty() {
                let path = self.files.journal.clone();
                self.journal_bytes = blocking(move || journal::append(&path, &ids)).await?;
            }
        }
        self.reached = events.last().map(StoredEvent::cursor);
        Ok(())
    }
}

/// Waits until no other process writes these files.
async fn lock(files: &Files) -> File {
    loop {
        let path = files.lock.clone();
        let locked = blocking(move || {
            let lock = files::append_to(&path)?;
            match lock.try_lock() {
                Ok(()) => Ok(Some(lock)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(files::failed(&path)(error)),
            }
        });
        match locked.await {
            Ok(Some(lock)) => return lock,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "what outlives the database cannot be written"),
        }
        sleep(EVERY).await;
    }
}

/// Whether it is the database that is wrong, and not a file or a connection.
const fn is_verdict(error: &RestoreError) -> bool {
    matches!(
        error,
        RestoreError::PutBack { .. } | RestoreError::Foreign { .. }
    )
}

/// Works on files beside the calls.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RestoreError> + Send + 'static,
) -> Result<T, RestoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::unavailable("a task ended in the middle").into()))
}
