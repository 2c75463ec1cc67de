//! One stream of a watcher: when it may be answered, and what it has acknowledged.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use super::{ANSWERED_FOR, Watchers};
use crate::{outbox::Cursor, position::Position};

/// A watcher with a stream here.
pub(super) struct Local {
    /// Which stream: a newer one of the same watcher takes its place.
    pub(super) stream: u64,
    pub(super) name: String,
    pub(super) max_staleness: Duration,
    pub(super) acknowledged: Option<Position>,
    /// When the last renewal that was committed began, on the steady clock.
    pub(super) renewed_at: Option<Duration>,
    /// Where the feed was after it.
    pub(super) must_reach: Option<Position>,
    pub(super) wants_renewal: bool,
    pub(super) wants_writing: bool,
    pub(super) changed: Arc<Notify>,
}

/// What may be said to a watcher now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::feed) enum Standing {
    /// A pong, once it has everything up to here.
    After(Position),
    /// No pong yet: its membership says when.
    Waiting,
}

/// The place of one stream among the watchers; dropping it leaves the lease to lapse.
pub(in crate::feed) struct Membership {
    watchers: Watchers,
    id: String,
    stream: u64,
    changed: Arc<Notify>,
}

impl Watchers {
    /// A stream of a watcher begins.
    pub(in crate::feed) fn join(
        &self,
        id: String,
        name: String,
        max_staleness: Duration,
    ) -> Membership {
        let stream = self.0.streams.fetch_add(1, Ordering::Relaxed);
        let changed = Arc::new(Notify::new());
        let local = Local {
            stream,
            name,
            max_staleness,
            acknowledged: None,
            renewed_at: None,
            must_reach: None,
            wants_renewal: false,
            wants_writing: false,
            changed: Arc::clone(&changed),
        };
        self.0.lock().insert(id.clone(), local);
        Membership {
            watchers: self.clone(),
            id,
            stream,
            changed,
        }
    }
}

impl Membership {
    /// Whether a pong may leave now; asks for a renewal where that is what it takes.
    pub(in crate::feed) fn standing(&self) -> Standing {
        let inner = &*self.watchers.0;
        let now = inner.clock.elapsed();
        let mut local = inner.lock();
        let Some(own) = self.own(&mut local) else {
            return Standing::Waiting;
        };
        let since = own.renewed_at.map(|at| now.saturating_sub(at));
        match (since, &own.must_reach) {
            (Some(since), Some(position)) if since < ANSWERED_FOR => {
                Standing::After(position.clone())
            }
            _ => {
                own.wants_renewal = true;
                drop(local);
                inner.urgent.notify_one();
                Standing::Waiting
            }
        }
    }

    /// Takes what the watcher says it has.
    pub(in crate::feed) fn acknowledge(&self, cursor: Cursor) {
        let inner = &*self.watchers.0;
        let mut local = inner.lock();
        let Some(own) = self.own(&mut local) else {
            return;
        };
        own.acknowledged = Some(cursor.position);
        own.wants_writing = true;
        drop(local);
        inner.heard.send_replace(());
        inner.news.notify_one();
    }

    /// Ends when the standing may have changed, also before this was called.
    pub(in crate::feed) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn own<'l>(&self, local: &'l mut BTreeMap<String, Local>) -> Option<&'l mut Local> {
        local
            .get_mut(&self.id)
            .filter(|local| local.stream == self.stream)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut local = self.watchers.0.lock();
        if self.own(&mut local).is_some() {
            local.remove(&self.id);
        }
    }
}
