//! Sessions and subjects that ended before their tokens did.
//!
//! Sharded, so that the checks of all cores read at once while a revocation is written.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::change::{SessionRevocation, SubjectRevocation};
use crate::clock::Timestamp;

const SHARDS: usize = 32;

/// A shard smaller than this is not worth a look through.
const PRUNE_FROM: usize = 64;

/// The revocations that still matter.
pub(super) struct Revocations {
    sessions: Sharded<Timestamp>,
    subjects: Sharded<Generation>,
    leeway: Duration,
    /// The latest moment at which something was forgotten, in microseconds.
    horizon: AtomicI64,
}

struct Generation {
    generation: u64,
    retain_until: Timestamp,
}

impl Revocations {
    pub(super) fn new(leeway: Duration) -> Self {
        Self {
            sessions: Sharded::new(),
            subjects: Sharded::new(),
            leeway,
            horizon: AtomicI64::new(i64::MIN),
        }
    }

    /// Adds a session, or keeps it for longer.
    pub(super) fn add_session(&self, revocation: SessionRevocation, now: Timestamp) {
        let mut shard = self.sessions.write(&revocation.session_id);
        let kept = shard
            .map
            .entry(revocation.session_id)
            .or_insert(revocation.retain_until);
        *kept = revocation.retain_until.max(*kept);
        shard.prune(|kept| self.forget(*kept, now));
    }

    /// Raises a subject's generation; it never falls.
    pub(super) fn add_subject(&self, revocation: SubjectRevocation, now: Timestamp) {
        let mut shard = self.subjects.write(&revocation.user_id);
        let kept = shard.map.entry(revocation.user_id).or_insert(Generation {
            generation: revocation.generation,
            retain_until: revocation.retain_until,
        });
        kept.generation = revocation.generation.max(kept.generation);
        kept.retain_until = revocation.retain_until.max(kept.retain_until);
        shard.prune(|kept| self.forget(kept.retain_until, now));
    }

    /// Whether a token of this session, subject and generation has been ended.
    pub(super) fn cover(&self, session_id: &str, user_id: &str, generation: u64) -> bool {
        self.sessions.read(session_id, |_| true).unwrap_or(false)
            || self
                .subjects
                .read(user_id, |kept| generation < kept.generation)
                .unwrap_or(false)
    }

    /// Whether the revocations of tokens that end at this moment may have been forgotten.
    ///
    /// They are, once the tokens have ended by themselves. Were the wall clock set back after that, the tokens would
    /// live again with nothing left to refuse them; so they stay ended.
    pub(super) fn forgot(&self, expires_at: Timestamp) -> bool {
        let horizon = self.horizon.load(Ordering::Acquire);
        expires_at.plus(self.leeway) <= Timestamp::from_micros(horizon)
    }

    fn forget(&self, retain_until: Timestamp, now: Timestamp) -> bool {
        let over = retain_until.plus(self.leeway) <= now;
        if over {
            self.horizon.fetch_max(now.as_micros(), Ordering::AcqRel);
        }
        over
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.sessions.len() + self.subjects.len()
    }
}

/// A map in shards, each behind its own lock.
struct Sharded<V> {
    hasher: RandomState,
    shards: Vec<RwLock<Shard<V>>>,
}

struct Shard<V> {
    map: HashMap<String, V>,
    prune_at: usize,
}

impl<V> Sharded<V> {
    fn new() -> Self {
        let shard = || {
            RwLock::new(Shard {
                map: HashMap::new(),
                prune_at: PRUNE_FROM,
            })
        };
        Self {
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
        }
    }

    fn shard(&self, key: &str) -> &RwLock<Shard<V>> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low bits are as good as any"
        )]
        let hash = self.hasher.hash_one(key) as usize;
        &self.shards[hash % SHARDS]
    }

    // A panic cannot leave a shard half written, so a poisoned lock is as good as any.
    fn read<T>(&self, key: &str, read: impl Fn(&V) -> T) -> Option<T> {
        let shard = self
            .shard(key)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard.map.get(key).map(read)
    }

    fn write(&self, key: &str) -> std::sync::RwLockWriteGuard<'_, Shard<V>> {
        self.shard(key)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let len = |shard: &RwLock<Shard<V>>| shard.read().expect("is not poisoned").map.len();
        self.shards.iter().map(len).sum()
    }
}

impl<V> Shard<V> {
    /// Looks through the shard each time it has doubled, so that forgetting costs a constant per insertion.
    fn prune(&mut self, forget: impl Fn(&V) -> bool) {
        if self.map.len() >= self.prune_at {
            self.map.retain(|_, value| !forget(value));
            self.prune_at = PRUNE_FROM.max(self.map.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEEWAY: Duration = Duration::from_secs(30);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn session(id: &str, retain_until: i64) -> SessionRevocation {
        SessionRevocation {
            session_id: id.to_owned(),
            retain_until: at(retain_until),
        }
    }

    fn subject(id: &str, generation: u64) -> SubjectRevocation {
        SubjectRevocation {
            user_id: id.to_owned(),
            generation,
            retain_until: at(100),
        }
    }

    #[test]
    fn a_generation_never_falls() {
        let revocations = Revocations::new(LEEWAY);
        revocations.add_subject(subject("u", 5), at(0));
        revocations.add_subject(subject("u", 3), at(0));
        assert!(revocations.cover("s", "u", 4));
        assert!(!revocations.cover("s", "u", 5));
        assert!(!revocations.cover("s", "other", 0));
    }

    #[test]
    fn a_revocation_outlives_its_tokens_and_then_goes() {
        let revocations = Revocations::new(LEEWAY);
        for index in 0..10_000 {
            revocations.add_session(session(&format!("old{index}"), 100), at(0));
        }
        revocations.add_session(session("kept", 100), at(0));
        revocations.add_session(session("kept", 1_000), at(0));
        revocations.add_session(session("kept", 200), at(0));
        assert!(!revocations.forgot(at(0)));
        for index in 0..20_000 {
            revocations.add_session(session(&format!("new{index}"), 1_000), at(129));
        }
        assert!(revocations.cover("old7", "u", 0), "within the leeway");
        for index in 0..40_000 {
            revocations.add_session(session(&format!("newer{index}"), 1_000), at(130));
        }
        assert!(!revocations.cover("old7", "u", 0));
        assert!(revocations.cover("kept", "u", 0));
        assert_eq!(revocations.len(), 60_001);
        assert!(revocations.forgot(at(100)));
        assert!(!revocations.forgot(at(101)));
    }
}
