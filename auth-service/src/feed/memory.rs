//! What a snapshot of the access feed tells: the keys, and everything that was ended.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use identity_guard::clock::Timestamp;
use identity_kit::feed::{History, Ledger, PART, Placed};

use crate::domain::{
    event::{SessionRevoked, SubjectRevoked},
    id::{SessionId, UserId},
    signing_key::SigningKey,
};

/// What changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// A session ended.
    Session(SessionRevoked),
    /// All credentials of a user ended.
    Subject(SubjectRevoked),
    /// A key is new or in another state.
    Key(SigningKey),
}

/// Everything that the feed knows.
#[derive(Debug, Default)]
pub struct AccessLedger {
    keys: Vec<SigningKey>,
    sessions: BTreeMap<SessionId, SessionRevoked>,
    subjects: BTreeMap<UserId, SubjectRevoked>,
}

/// The feed in memory.
pub type FeedMemory = History<AccessLedger>;

impl Ledger for AccessLedger {
    type Change = Change;

    fn add(&mut self, placed: &Placed<Change>) {
        match &*placed.change {
            Change::Session(revoked) => self.end_session(revoked.clone()),
            Change::Subject(revoked) => self.end_subject(revoked.clone()),
            Change::Key(key) => {
                self.keys.retain(|known| known.id != key.id);
                self.keys.insert(0, key.clone());
            }
        }
    }
}

impl AccessLedger {
    /// Everything at a position.
    pub(super) fn new(
        keys: Vec<SigningKey>,
        sessions: Vec<SessionRevoked>,
        subjects: Vec<SubjectRevoked>,
    ) -> Self {
        let mut ledger = Self {
            keys,
            ..Self::default()
        };
        for revoked in sessions {
            ledger.end_session(revoked);
        }
        for revoked in subjects {
            ledger.end_subject(revoked);
        }
        ledger
    }

    /// The keys, newest first.
    pub(super) fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// The next sessions that ended, in the order of their ids.
    pub(super) fn sessions(&self, after: Option<&SessionId>) -> Vec<&SessionRevoked> {
        behind(&self.sessions, after).map(|(_, one)| one).collect()
    }

    /// The next users whose credentials ended, in the order of their ids.
    pub(super) fn subjects(&self, after: Option<&UserId>) -> Vec<&SubjectRevoked> {
        behind(&self.subjects, after).map(|(_, one)| one).collect()
    }

    /// An end is kept for as long as any that was told of the same: so it is wherever the feed is applied.
    fn end_session(&mut self, revoked: SessionRevoked) {
        let id = revoked.session_id.clone();
        let until = revoked.retain_until;
        let kept = self.sessions.entry(id).or_insert(revoked);
        kept.retain_until = kept.retain_until.max(until);
    }

    /// The same of a user, whose generation never falls.
    fn end_subject(&mut self, revoked: SubjectRevoked) {
        let id = revoked.user_id.clone();
        let (generation, until) = (revoked.generation, revoked.retain_until);
        let kept = self.subjects.entry(id).or_insert(revoked);
        kept.generation = kept.generation.max(generation);
        kept.retain_until = kept.retain_until.max(until);
    }
}

/// Forgets revocations of tokens that have ended by themselves, part after part, and lets others in between.
pub fn prune(memory: &FeedMemory, now: Timestamp) {
    parts(memory, |ledger, after| {
        remove_part(&mut ledger.sessions, after, |one| one.retain_until <= now)
    });
    parts(memory, |ledger, after| {
        remove_part(&mut ledger.subjects, after, |one| one.retain_until <= now)
    });
}

fn parts<K>(memory: &FeedMemory, part: impl Fn(&mut AccessLedger, Option<&K>) -> Option<K>) {
    let mut after = None;
    loop {
        let last = memory.tend(|ledger| part(ledger, after.as_ref())).flatten();
        if last.is_none() {
            return;
        }
        after = last;
    }
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

/// A change at its place.
pub(super) fn placed(cursor: identity_kit::outbox::Cursor, change: Change) -> Placed<Change> {
    Placed {
        cursor,
        change: Arc::new(change),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use identity_guard::{clock::Timestamp, position::Position};
    use identity_kit::{
        feed::{PART, Placed},
        outbox::Cursor,
    };

    use super::{AccessLedger, Change, FeedMemory, placed, prune};
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

    fn session(revision: u64) -> Placed<Change> {
        let revoked = SessionRevoked {
            session_id: SessionId::trusted(revision.to_string()),
            user_id: UserId::trusted("u"),
            retain_until: Timestamp::from_micros(1_000 + revision.cast_signed()),
        };
        placed(cursor(revision), Change::Session(revoked))
    }

    fn memory(changes: u64) -> FeedMemory {
        let memory = FeedMemory::default();
        memory.replace(cursor(0), AccessLedger::default(), Vec::new());
        for revision in 1..=changes {
            memory.push(session(revision));
        }
        memory
    }

    /// Everything in parts, with something between two of them.
    fn everything(memory: &FeedMemory, between: impl Fn()) -> Vec<SessionId> {
        let (mut read, mut parts) = (Vec::<SessionId>::new(), 0);
        let part = |after: Option<&SessionId>| {
            let ids = |ledger: &AccessLedger| {
                let ended = ledger.sessions(after);
                ended
                    .iter()
                    .map(|one| one.session_id.clone())
                    .collect::<Vec<_>>()
            };
            memory.look(Some(1), ids).unwrap()
        };
        loop {
            let ids = part(read.last());
            if ids.is_empty() {
                break;
            }
            assert!(ids.len() <= PART);
            read.extend(ids);
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
                memory.push(session(revision));
            }
            next.set(next.get() + 3);
            prune(&memory, Timestamp::from_micros(1_000 + 5));
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
    fn the_ended_are_forgotten_and_nothing_else() {
        let count = PART as u64 * 2;
        let memory = memory(count);
        prune(
            &memory,
            Timestamp::from_micros(1_000 + count.cast_signed() - 1),
        );
        let left = memory.look(None, |ledger| {
            let ended = ledger.sessions(None);
            ended
                .iter()
                .map(|one| one.session_id.clone())
                .collect::<Vec<_>>()
        });
        assert_eq!(left.unwrap(), [SessionId::trusted(count.to_string())]);
    }

    #[test]
    fn an_end_that_is_told_again_is_kept_for_the_longer_time_and_no_generation_falls() {
        let memory = memory(0);
        let subject = |generation, until| {
            Change::Subject(SubjectRevoked {
                user_id: UserId::trusted("u"),
                generation,
                retain_until: Timestamp::from_micros(until),
            })
        };
        memory.push(placed(cursor(1), subject(7, 50)));
        memory.push(placed(cursor(2), subject(8, 20)));
        memory.push(placed(cursor(3), subject(6, 30)));
        let kept = memory.look(None, |ledger| ledger.subjects(None)[0].clone());
        let kept = kept.unwrap();
        assert_eq!(kept.generation, 8);
        assert_eq!(kept.retain_until, Timestamp::from_micros(50));
    }
}
