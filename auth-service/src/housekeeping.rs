//! The task that removes what time has made meaningless.

use std::{sync::Arc, time::Duration};

use identity_guard::clock::SharedClock;
use identity_kit::{
    database::{Database, StoreError},
    outbox,
};
use tokio_util::sync::CancellationToken;

use crate::{feed::FeedMemory, store::housekeeping::sweep};

/// Between two sweeps: half of the shortest life that anything has.
const EVERY: Duration = Duration::from_secs(5);
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
    /// How much longer than the tokens things are kept.
    pub leeway: Duration,
}

impl Housekeeping {
    /// Works until cancelled. A failure is tried again at the next turn.
    pub async fn run(self, cancel: CancellationToken) {
        let work = async {
            loop {
                tokio::time::sleep(EVERY).await;
                if let Err(error) = self.turn().await {
                    tracing::warn!(error = ?error, "housekeeping failed");
                }
            }
        };
        cancel.run_until_cancelled(work).await;
    }

    async fn turn(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        sweep(&self.database, now, self.leeway).await?;
        outbox::trim(&self.database, now.minus(KEEP_EVENTS)).await?;
        self.memory.prune(now);
        Ok(())
    }
}
