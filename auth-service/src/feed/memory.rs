//! The feed in memory: one immutable snapshot for all watchers, and the newest changes in order.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use identity_guard::clock::Timestamp;
use identity_kit::outbox::Cursor;
use tokio::sync::watch;

use crate::domain::{
    event::{SessionRevoked, SubjectRevoked},
    id::{SessionId, UserId},
    signing_key::SigningKey,
};

/// Changes that are kept for watchers that come back.
pub(super) const KEPT_CHANGES: usize = 4_096;

/// Everything that the feed knows.
#[derive(Debug, Clone, Default)]
pub(super) struct FeedSnapshot {
    pub(super) keys: Vec<SigningKey>,
    pub(super) sessions: HashMap<SessionId, SessionRevoked>,
    pub(super) subjects: HashMap<UserId, SubjectRevoked>,
}

/// What changed.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Session(SessionRevoked),
    Subject(SubjectRevoked),
    Key(SigningKey),
}

/// A change and its place.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) cursor: Cursor,
    pub(super) change: Change,
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
pub(super) enum Missing {
    /// The changes that follow, perhaps none.
    Changes(Vec<Placed>),
    /// Everything: the changes that follow are not kept, or the history is another one.
    Everything(Arc<FeedSnapshot>),
}

/// The state of the feed at one moment, for one watcher.
#[derive(Debug)]
pub(super) struct View {
    pub(super) missing: Missing,
    /// Where the watcher stands when it has it.
    pub(super) standpoint: Standpoint,
    /// When, on the steady clock, this was proven to be everything.
    pub(super) fresh_at: Option<Duration>,
}

/// The feed in memory. Before it is loaded nobody is served from it.
pub struct FeedMemory {
    state: RwLock<Option<State>>,
    changed: watch::Sender<()>,
}

struct State {
    history: u64,
    cursor: Cursor,
    snapshot: Arc<FeedSnapshot>,
    changes: VecDeque<Placed>,
    fresh_at: Option<Duration>,
}

impl Default for FeedMemory {
    fn default() -> Self {
        Self {
            state: RwLock::new(None),
            changed: watch::Sender::new(()),
        }
    }
}

impl FeedMemory {
    /// Begins a history: with everything at a cursor, and the changes that led there.
    pub(super) fn replace(&self, cursor: Cursor, snapshot: FeedSnapshot, changes: Vec<Placed>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let history = state.as_ref().map_or(0, |state| state.history) + 1;
        *state = Some(State {
            history,
            cursor,
            snapshot: Arc::new(snapshot),
            changes: changes.into(),
            fresh_at: None,
        });
        drop(state);
        self.changed.send_replace(());
    }

    /// Adds a change; one that is known already is passed over.
    pub(super) fn push(&self, placed: Placed) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = state.as_mut() else { return };
        if state.cursor.position.reaches(&placed.cursor.position) {
            return;
        }
        // A watcher that is being sent the old snapshot keeps it; everybody else sees the new one.
        Arc::make_mut(&mut state.snapshot).add(placed.change.clone());
        state.cursor = placed.cursor.clone();
        if state.changes.len() == KEPT_CHANGES {
            state.changes.pop_front();
        }
        state.changes.push_back(placed);
    }

    /// Says that what was added is everything, as of a moment of the steady clock. It wakes nobody: a watcher learns
    /// it with the answer to its next ping.
    pub(super) fn prove(&self, at: Duration) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = state.as_mut() {
            state.fresh_at = state.fresh_at.max(Some(at));
        }
    }

    /// Wakes the watchers.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// Forgets revocations of tokens that have ended by themselves.
    pub fn prune(&self, now: Timestamp) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = state.as_mut() {
            Arc::make_mut(&mut state.snapshot).prune(now);
        }
    }

    /// Where the feed stands; `None` before it is loaded.
    pub(super) fn standpoint(&self) -> Option<Standpoint> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().map(State::standpoint)
    }

    /// What a watcher at a standpoint has to be sent; without one, everything.
    pub(super) fn view(&self, from: Option<&Standpoint>) -> Option<View> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let state = state.as_ref()?;
        let changes = from.and_then(|from| state.changes_after(from));
        Some(match (changes, from) {
            (Some(changes), Some(from)) => View {
                standpoint: changes.last().map_or_else(
                    || from.clone(),
                    |last| Standpoint {
                        history: state.history,
                        cursor: last.cursor.clone(),
                    },
                ),
                missing: Missing::Changes(changes),
                fresh_at: state.fresh_at,
            },
            _ => View {
                missing: Missing::Everything(Arc::clone(&state.snapshot)),
                standpoint: state.standpoint(),
                fresh_at: state.fresh_at,
            },
        })
    }

    /// Changes whenever there may be something to send.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl State {
    fn standpoint(&self) -> Standpoint {
        Standpoint {
            history: self.history,
            cursor: self.cursor.clone(),
        }
    }

    /// The kept changes after a standpoint; `None` when some of them are not kept.
    fn changes_after(&self, from: &Standpoint) -> Option<Vec<Placed>> {
        let position = &from.cursor.position;
        if from.history != self.history || position.epoch != self.cursor.position.epoch {
            return None;
        }
        if position.revision >= self.cursor.position.revision {
            return Some(Vec::new());
        }
        let first = self.changes.front()?.cursor.position.revision;
        if position.revision + 1 < first {
            return None;
        }
        let known = usize::try_from(position.revision + 1 - first).ok()?;
        Some(self.changes.iter().skip(known).cloned().collect())
    }
}

impl FeedSnapshot {
    fn add(&mut self, change: Change) {
        match change {
            Change::Session(revoked) => {
                self.sessions.insert(revoked.session_id.clone(), revoked);
            }
            Change::Subject(revoked) => {
                self.subjects.insert(revoked.user_id.clone(), revoked);
            }
            Change::Key(key) => {
                self.keys.retain(|known| known.id != key.id);
                self.keys.insert(0, key);
            }
        }
    }

    fn prune(&mut self, now: Timestamp) {
        self.sessions
            .retain(|_, revoked| revoked.retain_until > now);
        self.subjects
            .retain(|_, revoked| revoked.retain_until > now);
    }
}

#[cfg(test)]
mod tests {
    use identity_guard::{clock::Timestamp, position::Position};
    use identity_kit::outbox::Cursor;

    use super::{Change, FeedMemory, FeedSnapshot, KEPT_CHANGES, Missing, Placed, Standpoint};
    use crate::domain::{
        event::SessionRevoked,
        id::{SessionId, UserId},
    };

    fn cursor(revision: u64) -> Cursor {
        Cursor {
            position: Position::new("e", revision),
            nonce: Some(revision.to_string()),
        }
    }

    fn placed(revision: u64) -> Placed {
        Placed {
            cursor: cursor(revision),
            change: Change::Session(SessionRevoked {
                session_id: SessionId::trusted(revision.to_string()),
                user_id: UserId::trusted("u"),
                retain_until: Timestamp::from_micros(1_000 + revision.cast_signed()),
            }),
        }
    }

    fn memory(changes: u64) -> FeedMemory {
        let memory = FeedMemory::default();
        memory.replace(cursor(0), FeedSnapshot::default(), Vec::new());
        for revision in 1..=changes {
            memory.push(placed(revision));
        }
        memory
    }

    fn at(revision: u64) -> Standpoint {
        Standpoint {
            history: 1,
            cursor: cursor(revision),
        }
    }

    #[test]
    fn a_watcher_gets_the_changes_that_it_has_not() {
        let memory = memory(5);
        let view = memory.view(Some(&at(3))).unwrap();
        assert_eq!(view.standpoint.cursor, cursor(5));
        let Missing::Changes(changes) = view.missing else {
            panic!("the changes are kept");
        };
        let revisions: Vec<_> = changes
            .iter()
            .map(|one| one.cursor.position.revision)
            .collect();
        assert_eq!(revisions, [4, 5]);
    }

    #[test]
    fn a_watcher_that_is_too_far_behind_gets_everything() {
        let memory = memory(KEPT_CHANGES as u64 + 2);
        assert!(matches!(
            memory.view(Some(&at(1))).unwrap().missing,
            Missing::Everything(_)
        ));
        assert!(matches!(
            memory.view(Some(&at(2))).unwrap().missing,
            Missing::Changes(_)
        ));
    }

    #[test]
    fn a_new_history_and_no_standpoint_mean_everything() {
        let memory = memory(2);
        memory.replace(cursor(2), FeedSnapshot::default(), Vec::new());
        for from in [None, Some(&at(2))] {
            assert!(matches!(
                memory.view(from).unwrap().missing,
                Missing::Everything(_)
            ));
        }
    }

    #[test]
    fn a_snapshot_on_its_way_is_not_changed_and_the_ended_are_forgotten() {
        let memory = memory(2);
        let Missing::Everything(before) = memory.view(None).unwrap().missing else {
            panic!("everything");
        };
        memory.push(placed(3));
        memory.push(placed(3));
        memory.prune(Timestamp::from_micros(1_002));
        assert_eq!(before.sessions.len(), 2);
        let Missing::Everything(after) = memory.view(None).unwrap().missing else {
            panic!("everything");
        };
        assert_eq!(after.sessions.len(), 1);
    }
}
