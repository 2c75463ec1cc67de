//! Who decides by what a feed tells: each watcher with its lease and what it has acknowledged, known to every replica
//! through the database.
//!
//! Whoever waits until a change counts everywhere waits for those who may still decide without it:
//!
//! - A watcher decides by itself after a pong, for its greatest staleness at most, counted from before its ping. So no
//!   pong leaves before the watcher stands in the table, and none later than [`ANSWERED_FOR`] after the last renewal.
//! - A lease is no moment of any clock. It lapses for whoever looks when its renewals have not grown for as long as the
//!   lease lasts, counted from when the last of them was first seen: clocks need not agree, they need to run.
//! - A watcher that comes in while somebody waits knows what is waited for: its pong waits for everything that was
//!   committed before its row was.
//! - What is acknowledged is written a few times a second for all watchers together. A wait on the replica that has the
//!   stream need not wait for that.

mod lapse;
mod member;
mod table;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub(super) use self::member::{Membership, Standing};
pub use self::table::create as create_table;
use self::{
    lapse::Lapses,
    member::Local,
    table::{Entry, Row},
};
use crate::{
    clock::SharedClock,
    database::{Database, StoreError},
    outbox,
    position::Position,
};

/// How long after a renewal pongs may leave.
const ANSWERED_FOR: Duration = Duration::from_secs(2);
/// What a lease lasts beyond that and the watcher's staleness: for clocks that run at different speeds.
const MARGIN: Duration = Duration::from_millis(250);
/// Between two writes of nothing but acknowledgements.
const ACKNOWLEDGED_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at the table while somebody waits, and while nobody does.
const LOOK_WHILE_AWAITED: Duration = Duration::from_millis(25);
const LOOK: Duration = Duration::from_secs(1);
/// A look may take this part of the time at most.
const LOOK_SHARE: u32 = 10;
/// How long a lapsed row is kept.
const KEPT: Duration = Duration::from_mins(1);
/// After a failure.
const RETRY: Duration = Duration::from_millis(250);

/// Everybody who has acknowledged a position, or could not decide without it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Watchers who have it.
    pub acknowledged: usize,
    /// Watchers who have not said so, and whose lease has lapsed.
    pub lapsed: usize,
}

/// The watchers of one feed.
#[derive(Clone)]
pub struct Watchers(Arc<Inner>);

struct Inner {
    database: Database,
    clock: SharedClock,
    streams: AtomicU64,
    /// The watchers with a stream here, by id.
    local: Mutex<BTreeMap<String, Local>>,
    /// There is something to write.
    news: Notify,
    /// There is something to write that a watcher waits for.
    urgent: Notify,
    /// Changes when a watcher with a stream here has acknowledged.
    heard: watch::Sender<()>,
    /// How many wait.
    awaiting: AtomicUsize,
    awaited: Notify,
    seen: watch::Sender<Look>,
}

/// What the table held.
#[derive(Clone, Default)]
struct Look {
    /// When this look began, on the steady clock.
    began: Duration,
    rows: Arc<[(Row, bool)]>,
}

impl Watchers {
    /// Knows the watchers of the feed in this database until cancelled, in the task that comes with it.
    #[must_use]
    pub fn spawn(
        database: &Database,
        clock: SharedClock,
        cancel: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let watchers = Self(Arc::new(Inner {
            database: database.clone(),
            clock,
            streams: AtomicU64::new(0),
            local: Mutex::default(),
            news: Notify::new(),
            urgent: Notify::new(),
            heard: watch::Sender::new(()),
            awaiting: AtomicUsize::new(0),
            awaited: Notify::new(),
            seen: watch::Sender::new(Look::default()),
        }));
        let inner = Arc::clone(&watchers.0);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = inner.write() => {}
                () = inner.observe() => {}
            }
        });
        (watchers, task)
    }

    /// Waits until every watcher has acknowledged a position, or its lease has lapsed. Whoever calls bounds the wait.
    pub async fn acknowledged(&self, position: &Position) -> Acknowledged {
        let inner = &*self.0;
        let _awaiting = Awaiting::of(inner);
        let (mut seen, mut heard) = (inner.seen.subscribe(), inner.heard.subscribe());
        let asked_at = inner.clock.elapsed();
        loop {
            seen.mark_unchanged();
            heard.mark_unchanged();
            let look = seen.borrow().clone();
            if look.began >= asked_at
                && let Some(done) = inner.count(&look.rows, position)
            {
                return done;
            }
            tokio::select! {
                changed = seen.changed() => if changed.is_err() { std::future::pending().await },
                changed = heard.changed() => if changed.is_err() { std::future::pending().await },
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Local>> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How everybody stands to a position; nothing while somebody may still decide without it.
    fn count(&self, rows: &[(Row, bool)], position: &Position) -> Option<Acknowledged> {
        let local = self.lock();
        let mut done = Acknowledged::default();
        for (row, has_lapsed) in rows {
            let heard = local
                .get(&row.id)
                .and_then(|local| local.acknowledged.as_ref());
            if row.acknowledged.reaches(position)
                || heard.is_some_and(|heard| heard.reaches(position))
            {
                done.acknowledged += 1;
            } else if *has_lapsed {
                done.lapsed += 1;
            } else {
                return None;
            }
        }
        Some(done)
    }

    /// Writes renewals at once and acknowledgements now and then, all that there are in one statement.
    async fn write(&self) {
        loop {
            tokio::select! {
                () = self.news.notified() => {}
                () = self.urgent.notified() => {}
            }
            if let Err(error) = self.write_news().await {
                tracing::warn!(error = ?error, "watchers of the feed could not be noted");
                sleep(RETRY).await;
                self.urgent.notify_one();
                continue;
            }
            tokio::select! {
                () = sleep(ACKNOWLEDGED_EVERY) => {}
                // It is still there for the next round.
                () = self.urgent.notified() => self.urgent.notify_one(),
            }
        }
    }

    async fn write_news(&self) -> Result<(), StoreError> {
        let entries = self.news();
        if entries.is_empty() {
            return Ok(());
        }
        let began = self.clock.elapsed();
        let renews = entries.iter().any(|(_, entry)| entry.renews);
        let rows = entries.iter().map(|(_, entry)| entry);
        table::write(&self.database, rows).await?;
        // After the commit: whoever has waited without these rows waits for no more than this.
        let head = if renews {
            Some(outbox::head(self.database.aside()).await?.1.position)
        } else {
            None
        };
        let mut local = self.lock();
        for (stream, entry) in entries {
            let Some(local) = local.get_mut(&entry.id).filter(|own| own.stream == stream) else {
                continue;
            };
            if local.acknowledged == entry.acknowledged {
                local.wants_writing = false;
            }
            if entry.renews {
                local.wants_renewal = false;
                local.renewed_at = Some(began);
                local.must_reach.clone_from(&head);
                local.changed.notify_one();
            }
        }
        Ok(())
    }

    fn news(&self) -> Vec<(u64, Entry)> {
        let local = self.lock();
        let news = local
            .iter()
            .filter(|(_, local)| local.wants_renewal || local.wants_writing);
        news.map(|(id, local)| {
            let entry = Entry {
                id: id.clone(),
                name: local.name.clone(),
                acknowledged: local.acknowledged.clone(),
                lease: local.max_staleness + ANSWERED_FOR + MARGIN,
                renews: local.wants_renewal,
            };
            (local.stream, entry)
        })
        .collect()
    }

    /// Looks at everybody, often while somebody waits.
    async fn observe(&self) {
        let mut lapses = Lapses::default();
        loop {
            let (began, from) = (self.clock.elapsed(), Instant::now());
            let pause = match self.look(&mut lapses, began).await {
                Ok(()) => self.pause(from.elapsed()),
                Err(error) => {
                    tracing::debug!(error = ?error, "watchers of the feed could not be read");
                    RETRY
                }
            };
            let idle = self.awaiting.load(Ordering::Relaxed) == 0;
            tokio::select! {
                () = sleep(pause) => {}
                () = self.awaited.notified(), if idle => {}
            }
        }
    }

    fn pause(&self, look_took: Duration) -> Duration {
        match self.awaiting.load(Ordering::Relaxed) {
            0 => LOOK,
            _ => LOOK_WHILE_AWAITED.max(look_took * LOOK_SHARE),
        }
    }

    async fn look(&self, lapses: &mut Lapses, began: Duration) -> Result<(), StoreError> {
        let rows = table::list(self.database.aside()).await?;
        // A renewal was committed before this: counted from here its lease ends too late and never too early.
        let now = self.clock.elapsed();
        lapses.see(&rows, now);
        let gone = rows.iter().filter(|row| lapses.is_lapsed(row, KEPT, now));
        let gone: Vec<_> = gone.map(|row| (row.id.clone(), row.renewals)).collect();
        let rows = rows.into_iter().map(|row| {
            let has_lapsed = lapses.is_lapsed(&row, Duration::ZERO, now);
            (row, has_lapsed)
        });
        let rows = rows.collect();
        self.seen.send_replace(Look { began, rows });
        if !gone.is_empty() {
            table::remove(&self.database, gone).await?;
        }
        Ok(())
    }
}

/// Somebody who waits.
struct Awaiting<'i>(&'i Inner);

impl<'i> Awaiting<'i> {
    fn of(inner: &'i Inner) -> Self {
        inner.awaiting.fetch_add(1, Ordering::Relaxed);
        inner.awaited.notify_one();
        Self(inner)
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.awaiting.fetch_sub(1, Ordering::Relaxed);
    }
}
