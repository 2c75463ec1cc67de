//! The task that removes what time has made meaningless.

use std::{sync::Arc, time::Duration};

use identity_guard::clock::{SharedClock, Timestamp};
use identity_kit::{
    database::{Database, StoreError},
    outbox,
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::policy::SessionPolicy,
    feed::{FeedMemory, prune},
    store::housekeeping::sweep,
};

/// Between two looks where the last one found nothing.
const EVERY: Duration = Duration::from_secs(30);
/// Between two looks where the last one found something: half of the shortest life that anything has.
const SOON: Duration = Duration::from_secs(5);
/// Between two trims of the feed, and two emptyings of the log of an SQLite database.
const TRIM_EVERY: Duration = Duration::from_mins(10);
/// How long the feed keeps its events: a watcher that was away for longer takes a snapshot.
const KEEP_EVENTS: Duration = Duration::from_hours(24);

/// Removes what is over, again and again.
pub struct Housekeeping {
    /// Where the rows are.
    pub database: Database,
    /// Where the feed is in memory.
    pub memory: Arc<FeedMemory>,
    /// Time.
    pub clock: SharedClock,
    /// How long things live.
    pub policy: SessionPolicy,
}

impl Housekeeping {
    /// Works until cancelled. A failure is tried again at the next turn.
    pub async fn run(self, cancel: CancellationToken) {
        let work = async {
            let (mut pause, mut trimmed_at) = (SOON, None);
            loop {
                tokio::time::sleep(pause).await;
                pause = match self.turn(&mut trimmed_at).await {
                    Ok(0) => EVERY,
                    Ok(_) => SOON,
                    Err(error) => {
                        tracing::warn!(error = ?error, "housekeeping failed");
                        EVERY
                    }
                };
            }
        };
        cancel.run_until_cancelled(work).await;
    }

    /// Removes what is over now, and what was removed before from the log of an `SQLite` database, in which it still
    /// stands. Gives how many rows were over.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn turn(&self, trimmed_at: &mut Option<Timestamp>) -> Result<u64, StoreError> {
        let now = self.clock.now();
        prune(&self.memory, now);
        let touched = sweep(&self.database, now, &self.policy).await?;
        if trimmed_at.is_none_or(|last| last.plus(TRIM_EVERY) <= now) {
            outbox::trim(&self.database, now.minus(KEEP_EVENTS)).await?;
            if !self.database.checkpoint().await? {
                tracing::debug!("the log of the database was not emptied: somebody reads it");
            }
            *trimmed_at = Some(now);
        }
        Ok(touched)
    }
}
