//! The feed in memory: everything that was ended, and the newest changes in order.
//!
//! Whatever is read is copied in bounded parts, and no lock is held for longer than one part takes: a watcher that
//! needs everything neither holds the newest revocation up nor keeps a copy of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
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

/// Most changes or revocations that are read, or looked at, in one go.
pub(super) const PART: usize = 500;

/// Everything that the feed knows.
#[derive(Debug, Default)]
pub(super) struct FeedSnapshot {
    pub(super) keys: Vec<SigningKey>,
    pub(super) sessions: BTreeMap<SessionId, SessionRevoked>,
    pub(super) subjects: BTreeMap<UserId, SubjectRevoked>,
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
    /// The changes that follow: at most [`PART`], perhaps none.
    Changes {
        changes: Vec<Placed>,
        /// Whether no others follow them.
        all: bool,
    },
    /// Everything: the changes that follow are not kept, or the history is another one. These are the keys; the
    /// revocations are to be read with [`FeedMemory::sessions`] and [`FeedMemory::subjects`] after this.
    Everything(Arc<[SigningKey]>),
}

/// The state of the feed at one moment, for one watcher.
#[derive(Debug)]
pub(super) struct View {
    pub(super) missing: Missing,
    /// Where the watcher stands when it has it.
    pub(super) standpoint: Standpoint,
    /// When, on the steady clock, all that is known here was proven to be everything.
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
    keys: Arc<[SigningKey]>,
    sessions: BTreeMap<SessionId, SessionRevoked>,
    subjects: BTreeMap<UserId, SubjectRevoked>,
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
        let mut next = State {
            history: 1,
            cursor,
            keys: snapshot.keys.into(),
            sessions: snapshot.sessions,
            subjects: snapshot.subjects,
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
        self.changed.send_replace(());
    }

    /// Adds a change; one that is known already is passed over.
    pub(super) fn push(&self, placed: Placed) {
        let mut state = self.write();
        let Some(state) = state.as_mut() else { return };
        if state.cursor.position.reaches(&placed.cursor.position) {
            return;
        }
        state.add(placed.change.clone());
        state.cursor = placed.cursor.clone();
        if state.changes.len() == KEPT_CHANGES {
            state.changes.pop_front();
        }
        state.changes.push_back(placed);
    }

    /// Says that what was added is everything, as of a moment of the steady clock. It wakes nobody: a watcher learns
    /// it with the answer to its next ping.
    pub(super) fn prove(&self, at: Duration) {
        if let Some(state) = self.write().as_mut() {
            state.fresh_at = state.fresh_at.max(Some(at));
        }
    }

    /// Wakes the watchers.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// Forgets revocations of tokens that have ended by themselves.
    pub fn prune(&self, now: Timestamp) {
        self.remove(|state, after| {
            remove_part(&mut state.sessions, after, |one| one.retain_until <= now)
        });
        self.remove(|state, after| {
            remove_part(&mut state.subjects, after, |one| one.retain_until <= now)
        });
    }

    /// Where the feed stands; `None` before it is loaded.
    pub(super) fn standpoint(&self) -> Option<Standpoint> {
        self.read().as_ref().map(State::standpoint)
    }

    /// What a watcher at a standpoint has to be sent next; without one, everything.
    pub(super) fn view(&self, from: Option<&Standpoint>) -> Option<View> {
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
                missing: Missing::Everything(Arc::clone(&state.keys)),
                standpoint: state.standpoint(),
                fresh_at: state.fresh_at,
            },
        })
    }

    /// The next sessions that ended, in the order of their ids: at most [`PART`], none after the last; `None` when
    /// another history has begun.
    ///
    /// Read one after the other they hold all that the feed had at the first reading, and perhaps some of what came
    /// later, which does no harm: an end stays an end when it is told twice.
    pub(super) fn sessions(
        &self,
        history: u64,
        after: Option<&SessionId>,
    ) -> Option<Vec<SessionRevoked>> {
        let state = self.read();
        let state = state.as_ref().filter(|state| state.history == history)?;
        Some(part(&state.sessions, after))
    }

    /// The next users whose sessions ended, in the same way.
    pub(super) fn subjects(
        &self,
        history: u64,
        after: Option<&UserId>,
    ) -> Option<Vec<SubjectRevoked>> {
        let state = self.read();
        let state = state.as_ref().filter(|state| state.history == history)?;
        Some(part(&state.subjects, after))
    }

    /// Changes whenever there may be something to send.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Removes part after part, each behind the last key of the one before, and lets others in between.
    fn remove<K>(&self, part: impl Fn(&mut State, Option<&K>) -> Option<K>) {
        let mut after = None;
        loop {
            let last = self
                .write()
                .as_mut()
                .and_then(|state| part(state, after.as_ref()));
            if last.is_none() {
                return;
            }
            after = last;
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<State>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<State>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn standpoint(&self) -> Standpoint {
        Standpoint {
            history: self.history,
            cursor: self.cursor.clone(),
        }
    }

    /// The next kept changes after a standpoint, and whether they are all; `None` when some of them are not kept.
    fn changes_after(&self, from: &Standpoint) -> Option<(Vec<Placed>, bool)> {
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

    /// Adds a change to everything. An end is kept for as long as any that was told of the same, and no generation
    /// falls: so it is wherever the feed is applied.
    fn add(&mut self, change: Change) {
        match change {
            Change::Session(revoked) => {
                let id = revoked.session_id.clone();
                let kept = self.sessions.entry(id).or_insert_with(|| revoked.clone());
                kept.retain_until = kept.retain_until.max(revoked.retain_until);
            }
            Change::Subject(revoked) => {
                let id = revoked.user_id.clone();
                let kept = self.subjects.entry(id).or_insert_with(|| revoked.clone());
                kept.generation = kept.generation.max(revoked.generation);
                kept.retain_until = kept.retain_until.max(revoked.retain_until);
            }
            Change::Key(key) => {
                let others = self.keys.iter().filter(|known| known.id != key.id);
                self.keys = std::iter::once(&key).chain(others).cloned().collect();
            }
        }
    }
}

/// The next values behind a key.
fn part<K: Ord, V: Clone>(map: &BTreeMap<K, V>, after: Option<&K>) -> Vec<V> {
    behind(map, after).map(|(_, value)| value.clone()).collect()
}

/// Removes those of the next values behind a key that are over; the last key that was looked at, if any.
fn remove_part<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, V>,
    after: Option<&K>,
    is_over: impl Fn(&V) -> bool,
) -> Option<K> {
    let looked_at: Vec<_> = behind(map, after)
        .map(|(key, value)| (key.clone(), is_over(value)))
        .collect();
    for (key, _) in looked_at.iter().filter(|(_, over)| *over) {
        map.remove(key);
    }
    looked_at.into_iter().next_back().map(|(key, _)| key)
}

fn behind<'m, K: Ord, V>(
    map: &'m BTreeMap<K, V>,
    after: Option<&K>,
) -> impl Iterator<Item = (&'m K, &'m V)> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    map.range((from, Bound::Unbounded)).take(PART)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use identity_guard::{clock::Timestamp, position::Position};
    use identity_kit::outbox::Cursor;

    use super::{
        Change, FeedMemory, FeedSnapshot, KEPT_CHANGES, Missing, PART, Placed, Standpoint,
    };
    use crate::domain::{
        event::{SessionRevoked, SubjectRevoked},
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
        let Missing::Changes { changes, all: true } = view.missing else {
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
            Missing::Changes { .. }
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

    /// Everything in parts, with something between two of them.
    fn everything(memory: &FeedMemory, between: impl Fn()) -> Vec<SessionId> {
        let history = memory.standpoint().unwrap().history;
        let (mut read, mut parts) = (Vec::new(), 0);
        while let Some(part) = memory.sessions(history, read.last())
            && !part.is_empty()
        {
            assert!(part.len() <= PART);
            read.extend(part.into_iter().map(|one| one.session_id));
            parts += 1;
            between();
        }
        assert!(parts > 2);
        read
    }

    #[test]
    fn everything_is_read_in_parts_while_revocations_come_and_go() {
        let count = PART as u64 * 3 + 7;
        let memory = memory(count);
        // Ends that come behind and before the place that was read, and such as nobody needs any more.
        let next = Cell::new(count);
        let read = everything(&memory, || {
            for revision in next.get() + 1..=next.get() + 3 {
                memory.push(placed(revision));
            }
            next.set(next.get() + 3);
            memory.prune(Timestamp::from_micros(1_000 + 5));
        });
        let missing = (1..=count)
            .map(|revision| SessionId::trusted(revision.to_string()))
            .filter(|session| !read.contains(session))
            .count();
        // Those five could be forgotten before they were read.
        assert!(missing <= 5, "{missing}");
        assert!(read.is_sorted());
    }

    #[test]
    fn a_new_history_ends_the_reading_of_the_old_one() {
        let memory = memory(2);
        let history = memory.standpoint().unwrap().history;
        assert_eq!(memory.sessions(history, None).unwrap().len(), 2);
        memory.replace(cursor(2), FeedSnapshot::default(), Vec::new());
        assert!(memory.sessions(history, None).is_none());
        assert!(memory.subjects(history, None).is_none());
    }

    #[test]
    fn many_changes_come_in_parts_and_the_last_part_says_so() {
        let memory = memory(PART as u64 * 2 + 1);
        let mut standpoint = at(0);
        let mut sizes = Vec::new();
        loop {
            let view = memory.view(Some(&standpoint)).unwrap();
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

    #[test]
    fn an_end_is_kept_for_as_long_as_the_longest_that_was_told() {
        let memory = memory(0);
        let at = Timestamp::from_micros;
        let told = [(5, 90), (7, 40), (6, 60)];
        for (revision, (generation, retain_until)) in (1..).zip(told) {
            let changes = [
                Change::Session(SessionRevoked {
                    session_id: SessionId::trusted("s"),
                    user_id: UserId::trusted("u"),
                    retain_until: at(retain_until),
                }),
                Change::Subject(SubjectRevoked {
                    user_id: UserId::trusted("u"),
                    generation,
                    retain_until: at(retain_until),
                }),
            ];
            for (place, change) in (0..).zip(changes) {
                let cursor = cursor(revision * 2 + place);
                memory.push(Placed { cursor, change });
            }
        }
        memory.prune(at(89));
        assert_eq!(memory.sessions(1, None).unwrap()[0].retain_until, at(90));
        let subject = &memory.subjects(1, None).unwrap()[0];
        assert_eq!((subject.generation, subject.retain_until), (7, at(90)));
    }

    #[test]
    fn the_ended_are_forgotten_and_nothing_else() {
        let count = PART as u64 * 2;
        let memory = memory(count);
        memory.push(placed(count));
        memory.prune(Timestamp::from_micros(1_000 + count.cast_signed() - 1));
        let left = memory.sessions(1, None).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].session_id.as_str(), count.to_string());
    }
}
