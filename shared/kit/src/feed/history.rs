//! A feed in memory: everything that a snapshot tells, and the newest changes in order.
//!
//! Whatever is read is copied in bounded parts, and no lock is held for longer than one part takes: a watcher that
//! needs everything neither holds the newest change up nor keeps a copy of its own.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use tokio::sync::watch;

use crate::outbox::Cursor;

/// Changes that are kept for watchers that come back.
pub const KEPT_CHANGES: usize = 4_096;

/// Most changes, or entries of a snapshot, that are read in one go.
pub const PART: usize = 500;

/// What a snapshot tells, kept up to date by the changes.
pub trait Ledger: Send + Sync + 'static {
    /// One change.
    type Change: Send + Sync + 'static;

    /// Takes a change; perhaps one that it has taken before.
    fn add(&mut self, placed: &Placed<Self::Change>);
}

/// A change and its place.
#[derive(Debug)]
pub struct Placed<C> {
    /// The place.
    pub cursor: Cursor,
    /// The change, shared by all watchers.
    pub change: Arc<C>,
}

impl<C> Clone for Placed<C> {
    fn clone(&self) -> Self {
        Self {
            cursor: self.cursor.clone(),
            change: Arc::clone(&self.change),
        }
    }
}

/// Where a watcher stands.
#[derive(Debug, Clone)]
pub(super) struct Standpoint {
    /// The history of this memory that it was served from.
    pub(super) history: u64,
    pub(super) cursor: Cursor,
}

/// What a watcher has to be sent.
#[derive(Debug)]
pub(super) enum Missing<C> {
    /// The changes that follow: at most [`PART`], perhaps none.
    Changes {
        changes: Vec<Placed<C>>,
        /// Whether no others follow them.
        all: bool,
    },
    /// Everything: the changes that follow are not kept, or the history is another one.
    Everything,
}

/// The state of the feed at one moment, for one watcher.
#[derive(Debug)]
pub(super) struct View<C> {
    pub(super) missing: Missing<C>,
    /// Where the watcher stands when it has it.
    pub(super) standpoint: Standpoint,
    /// When, on the steady clock, all that is known here was proven to be everything.
    pub(super) fresh_at: Option<Duration>,
}

/// A feed in memory. Before it is loaded nobody is served from it.
pub struct History<L: Ledger> {
    state: RwLock<Option<State<L>>>,
    changed: watch::Sender<()>,
}

struct State<L: Ledger> {
    history: u64,
    cursor: Cursor,
    ledger: L,
    changes: VecDeque<Placed<L::Change>>,
    fresh_at: Option<Duration>,
}

impl<L: Ledger> Default for History<L> {
    fn default() -> Self {
        Self {
            state: RwLock::new(None),
            changed: watch::Sender::new(()),
        }
    }
}

impl<L: Ledger> History<L> {
    /// Begins a history: with everything at a cursor, and the changes that led there.
    pub fn replace(&self, cursor: Cursor, ledger: L, changes: Vec<Placed<L::Change>>) {
        let mut next = State {
            history: 1,
            cursor,
            ledger,
            changes: changes.into(),
            fresh_at: None,
        };
        let mut state = self.write();
        if let Some(last) = state.as_ref() {
            next.history += last.history;
        }
        let last = state.replace(next);
        // What is gone is taken down after the lock is: it may be large.
        drop(state);
        drop(last);
        self.wake();
    }

    /// Adds a change; one that is known already is passed over.
    pub fn push(&self, placed: Placed<L::Change>) {
        let mut state = self.write();
        let Some(state) = state.as_mut() else { return };
        if state.cursor.position.reaches(&placed.cursor.position) {
            return;
        }
        state.ledger.add(&placed);
        state.cursor = placed.cursor.clone();
        if state.changes.len() == KEPT_CHANGES {
            state.changes.pop_front();
        }
        state.changes.push_back(placed);
    }

    /// Says that what was added is everything, as of a moment of the steady clock. It wakes nobody: a watcher learns
    /// it with the answer to its next ping.
    pub fn prove(&self, at: Duration) {
        if let Some(state) = self.write().as_mut() {
            state.fresh_at = state.fresh_at.max(Some(at));
        }
    }

    /// Wakes the watchers.
    pub fn wake(&self) {
        self.changed.send_replace(());
    }

    /// Looks at the ledger of a history, under the lock: no more than a part of it. `None` before it is loaded, or
    /// when another history has begun.
    pub fn look<T>(&self, history: Option<u64>, look: impl FnOnce(&L) -> T) -> Option<T> {
        let state = self.read();
        let state = state
            .as_ref()
            .filter(|state| history.is_none_or(|wanted| wanted == state.history))?;
        Some(look(&state.ledger))
    }

    /// Changes the ledger without a change of the feed, such as to forget what time has made meaningless; under the
    /// lock, so no more than a part of it. `None` before it is loaded.
    pub fn tend<T>(&self, tend: impl FnOnce(&mut L) -> T) -> Option<T> {
        self.write().as_mut().map(|state| tend(&mut state.ledger))
    }

    /// Where the feed stands; `None` before it is loaded.
    pub(super) fn standpoint(&self) -> Option<Standpoint> {
        self.read().as_ref().map(State::standpoint)
    }

    /// What a watcher at a standpoint has to be sent next; without one, everything.
    pub(super) fn view(&self, from: Option<&Standpoint>) -> Option<View<L::Change>> {
        let state = self.read();
        let state = state.as_ref()?;
        let changes = from.and_then(|from| Some((from, state.changes_after(from)?)));
        Some(match changes {
            Some((from, (changes, all))) => View {
                standpoint: Standpoint {
                    history: state.history,
                    cursor: changes
                        .last()
                        .map_or(&from.cursor, |last| &last.cursor)
                        .clone(),
                },
                missing: Missing::Changes { changes, all },
                fresh_at: state.fresh_at,
            },
            None => View {
                missing: Missing::Everything,
                standpoint: state.standpoint(),
                fresh_at: state.fresh_at,
            },
        })
    }

    /// Changes whenever there may be something to send.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<State<L>>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<State<L>>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Ledger> State<L> {
    fn standpoint(&self) -> Standpoint {
        Standpoint {
            history: self.history,
            cursor: self.cursor.clone(),
        }
    }

    /// The next kept changes after a standpoint, and whether they are all; `None` when some of them are not kept.
    fn changes_after(&self, from: &Standpoint) -> Option<(Vec<Placed<L::Change>>, bool)> {
        let position = &from.cursor.position;
        if from.history != self.history || position.epoch != self.cursor.position.epoch {
            return None;
        }
        if position.revision >= self.cursor.position.revision {
            return Some((Vec::new(), true));
        }
        let first = self.changes.front()?.cursor.position.revision;
        if position.revision + 1 < first {
            return None;
        }
        let known = usize::try_from(position.revision + 1 - first).ok()?;
        let changes: Vec<_> = self
            .changes
            .iter()
            .skip(known)
            .take(PART)
            .cloned()
            .collect();
        let all = known + changes.len() >= self.changes.len();
        Some((changes, all))
    }
}

#[cfg(test)]
mod tests {
    use super::{History, KEPT_CHANGES, Ledger, Missing, PART, Placed, Standpoint};
    use crate::{outbox::Cursor, position::Position};

    /// Remembers how many changes it has taken.
    #[derive(Default)]
    struct Count(u64);

    impl Ledger for Count {
        type Change = u64;

        fn add(&mut self, _: &Placed<u64>) {
            self.0 += 1;
        }
    }

    fn cursor(revision: u64) -> Cursor {
        Cursor {
            position: Position::new("e", revision),
            nonce: Some(revision.to_string()),
        }
    }

    fn placed(revision: u64) -> Placed<u64> {
        Placed {
            cursor: cursor(revision),
            change: revision.into(),
        }
    }

    fn history(changes: u64) -> History<Count> {
        let history = History::default();
        history.replace(cursor(0), Count::default(), Vec::new());
        for revision in 1..=changes {
            history.push(placed(revision));
        }
        history
    }

    fn at(revision: u64) -> Standpoint {
        Standpoint {
            history: 1,
            cursor: cursor(revision),
        }
    }

    #[test]
    fn a_watcher_gets_the_changes_that_it_has_not() {
        let history = history(5);
        let view = history.view(Some(&at(3))).unwrap();
        assert_eq!(view.standpoint.cursor, cursor(5));
        let Missing::Changes { changes, all: true } = view.missing else {
            panic!("the changes are kept");
        };
        let revisions: Vec<_> = changes.iter().map(|one| *one.change).collect();
        assert_eq!(revisions, [4, 5]);
    }

    #[test]
    fn a_change_that_is_known_is_taken_once() {
        let history = history(2);
        history.push(placed(2));
        history.push(placed(1));
        assert_eq!(history.look(None, |count| count.0), Some(2));
    }

    #[test]
    fn a_watcher_that_is_too_far_behind_gets_everything() {
        let history = history(KEPT_CHANGES as u64 + 2);
        let missing = |revision| history.view(Some(&at(revision))).unwrap().missing;
        assert!(matches!(missing(1), Missing::Everything));
        assert!(matches!(missing(2), Missing::Changes { .. }));
    }

    #[test]
    fn a_new_history_and_no_standpoint_mean_everything() {
        let history = history(2);
        history.replace(cursor(2), Count::default(), Vec::new());
        for from in [None, Some(&at(2))] {
            let view = history.view(from).unwrap();
            assert!(matches!(view.missing, Missing::Everything));
        }
        assert!(history.look(Some(1), |_| ()).is_none());
        assert!(history.look(Some(2), |_| ()).is_some());
    }

    #[test]
    fn many_changes_come_in_parts_and_the_last_part_says_so() {
        let history = history(PART as u64 * 2 + 1);
        let mut standpoint = at(0);
        let mut sizes = Vec::new();
        loop {
            let view = history.view(Some(&standpoint)).unwrap();
            let Missing::Changes { changes, all } = view.missing else {
                panic!("the changes are kept");
            };
            sizes.push(changes.len());
            standpoint = view.standpoint;
            if all {
                break;
            }
        }
        assert_eq!(sizes, [PART, PART, 1]);
        assert_eq!(standpoint.cursor, cursor(PART as u64 * 2 + 1));
    }
}
