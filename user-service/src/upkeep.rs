//! What goes on beside the calls, in one process at a time: carrying out what ends by time, and forgetting what is old.

use std::time::Duration;

use identity_kit::clock::{Clock, SharedClock, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::{ENDED_AT_ONCE, Error, Holder, LEASE, Store};

/// Between two looks at most: how late an end is carried out that was given while nobody looked, and how long the house
/// is without a keeper after a lease is over.
const LOOK: Duration = Duration::from_secs(1);
/// Before the next look where rows that have ended were being changed by somebody.
const BUSY: Duration = Duration::from_millis(50);

/// How long a request is remembered, and an event of the feed kept: a follower that was away for longer begins anew.
const LIFE: Duration = Duration::from_hours(24);
/// Before the first round of forgetting: it does not compete with the start for connections.
const FIRST: Duration = Duration::from_secs(30);
/// Between two rounds of forgetting.
const EVERY: Duration = Duration::from_mins(10);

/// One process that keeps the house, or stands by for when its keeper ends.
pub(crate) struct Upkeep {
    store: Store,
    clock: SharedClock,
    holder: Holder,
    /// For how long events of the audit log are kept; `None` means for ever.
    audit_retention: Option<Duration>,
    /// Until when the lease is this process's own, as far as it knows.
    keeps_until: watch::Sender<Option<Timestamp>>,
}

impl Upkeep {
    /// Stands by; `id` is of this process alone.
    pub(crate) fn new(
        store: Store,
        clock: SharedClock,
        id: String,
        audit_retention: Option<Duration>,
    ) -> Self {
        Self {
            store,
            clock,
            holder: Holder::new(id),
            audit_retention,
            keeps_until: watch::Sender::new(None),
        }
    }

    /// Works until cancelled, and gives the lease back then.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let work = async { tokio::join!(self.carry_out(), self.forget()) };
        let _ = cancel.run_until_cancelled(work).await;
        if self.keeps_until.borrow().is_some()
            && let Err(error) = self.store.release_lease(self.holder.clone()).await
        {
            tracing::debug!(error = ?error, "the lease of the upkeep was not given back");
        }
    }

    /// Carries out what ends, each time that something does. A failure is tried again at the next look.
    async fn carry_out(&self) {
        loop {
            let pause = match self.look().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(error = ?error, "what has ended was not carried out");
                    LOOK
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One look; the answer is how long until the next one.
    async fn look(&self) -> Result<Duration, Error> {
        let now = self.clock.now();
        let kept = *self.keeps_until.borrow();
        // At half of the lease, so that one that is not renewed in time is lost by nobody's chance.
        if kept.is_none_or(|until| until.minus(LEASE / 2) <= now) {
            let has = self.store.take_lease(self.holder.clone(), now).await?;
            self.note(has.then_some(now));
            if !has {
                return Ok(LOOK);
            }
        }
        match self.store.next_end().await? {
            None => Ok(LOOK),
            Some(end) if end > now => Ok(end.since(now).min(LOOK)),
            Some(_) => {
                let ended = self.store.carry_out_ends(self.holder.clone(), now).await?;
                self.note(ended.map(|_| now));
                match ended {
                    None => Ok(LOOK),
                    Some(0) => Ok(BUSY),
                    Some(ended) => {
                        tracing::debug!(ended, "carried out what has ended");
                        Ok(if ended < ENDED_AT_ONCE {
                            BUSY
                        } else {
                            Duration::ZERO
                        })
                    }
                }
            }
        }
    }

    /// Remembers when the lease was last taken; `None` when it was not.
    fn note(&self, taken_at: Option<Timestamp>) {
        let until = taken_at.map(|at| at.plus(LEASE));
        let before = self.keeps_until.send_replace(until);
        match (before, until) {
            (None, Some(_)) => tracing::info!("this process keeps the house"),
            (Some(_), None) => tracing::warn!("another process keeps the house"),
            _ => {}
        }
    }

    /// Forgets remembered requests, events of the feed and proofs of addresses after a day, budgets after their hour, and
    /// events of the audit log after their time.
    async fn forget(&self) {
        tokio::time::sleep(FIRST).await;
        loop {
            let keeps = self.keeps_until.borrow().is_some();
            if keeps {
                self.forget_once().await;
                trim_audit(&self.store, self.audit_retention, &*self.clock).await;
            }
            empty_log(&self.store).await;
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn forget_once(&self) {
        let before = self.clock.now().minus(LIFE);
        if let Err(error) = self.store.purge_requests(before).await {
            tracing::warn!(error = ?error, "old requests were not forgotten");
        }
        if let Err(error) = self.store.trim_feed(before).await {
            tracing::warn!(error = ?error, "old events were not forgotten");
        }
        let now = self.clock.now();
        if let Err(error) = self.store.purge_email_proofs(now).await {
            tracing::warn!(error = ?error, "old proofs of addresses were not forgotten");
        }
        if let Err(error) = self.store.purge_budgets(now).await {
            tracing::warn!(error = ?error, "old budgets were not forgotten");
        }
    }
}

/// Forgets events of the audit log after their time, and says in the log where it ends: whoever keeps that line
/// somewhere else notices when the end is cut off, or the whole is set back to an older copy.
async fn trim_audit(store: &Store, retention: Option<Duration>, clock: &dyn Clock) {
    if let Some(retention) = retention
        && let Err(error) = store.trim_audit(clock.now().minus(retention)).await
    {
        tracing::error!(error = ?error, "the audit log was not trimmed");
    }
    match store.audit_head().await {
        Ok(head) => tracing::info!(%head, "the end of the audit log"),
        Err(error) => tracing::error!(error = ?error, "the audit log has no good end"),
    }
}

/// Empties the log of an SQLite database, in which what was deleted since the last round still stands.
async fn empty_log(store: &Store) {
    match store.database().checkpoint().await {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the log of the database was not emptied: somebody reads it"),
        Err(error) => tracing::warn!(error = ?error, "the log of the database was not emptied"),
    }
}
