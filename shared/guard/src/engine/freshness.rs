//! How old the knowledge of each source is.
//!
//! Ages are kept on the steady clock. Nothing is fresh at the start, and a decision is as stale as its stalest source.

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::position::Position;

/// Where knowledge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The database of auth-service: sessions, generations, keys.
    Auth,
    /// The database of user-service: statuses, roles, permissions.
    User,
}

/// The sources that a decision about a token rests on.
const REQUIRED: [Source; 1] = [Source::Auth];

/// How new the knowledge of a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// Everything up to here is known.
    pub position: Position,
    /// How long ago that was proven to be everything; `None` when it is not proven.
    pub age: Option<Duration>,
}

const NEVER: i64 = i64::MIN;

struct Observed {
    /// On the steady clock, in microseconds.
    fresh_as_of: AtomicI64,
    position: RwLock<Option<Position>>,
}

/// What was observed of each source.
pub(super) struct Freshness {
    max_staleness: Duration,
    auth: Observed,
    user: Observed,
}

impl Freshness {
    pub(super) fn new(max_staleness: Duration) -> Self {
        let never = || Observed {
            fresh_as_of: AtomicI64::new(NEVER),
            position: RwLock::new(None),
        };
        Self {
            max_staleness,
            auth: never(),
            user: never(),
        }
    }

    pub(super) fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    fn of(&self, source: Source) -> &Observed {
        match source {
            Source::Auth => &self.auth,
            Source::User => &self.user,
        }
    }

    /// A source was complete up to a position when the steady clock stood at `at`, which may lie before its start.
    pub(super) fn observe(&self, source: Source, position: Position, at: i64) {
        self.advance(source, position);
        // The maximum, since an answer that was long on its way proves less than one that came before it.
        self.of(source).fresh_as_of.fetch_max(at, Ordering::AcqRel);
    }

    /// Everything up to a position is applied. Within an epoch positions only grow.
    pub(super) fn advance(&self, source: Source, position: Position) {
        let mut known = self
            .of(source)
            .position
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.reaches(&position)) {
            *known = Some(position);
        }
    }

    /// Forgets all proofs of freshness, and nothing else.
    pub(super) fn reset(&self) {
        for source in [&self.auth, &self.user] {
            source.fresh_as_of.store(NEVER, Ordering::Release);
        }
    }

    pub(super) fn position(&self, source: Source) -> Option<Position> {
        self.of(source)
            .position
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn state(&self, source: Source, elapsed: i64) -> Option<SourceState> {
        Some(SourceState {
            position: self.position(source)?,
            age: self.age(source, elapsed),
        })
    }

    pub(super) fn is_fresh(&self, elapsed: i64) -> bool {
        REQUIRED.into_iter().all(|source| {
            self.age(source, elapsed)
                .is_some_and(|age| age <= self.max_staleness)
        })
    }

    fn age(&self, source: Source, elapsed: i64) -> Option<Duration> {
        let at = self.of(source).fresh_as_of.load(Ordering::Acquire);
        if at == NEVER {
            return None;
        }
        let age = u64::try_from(elapsed.saturating_sub(at)).unwrap_or(0);
        Some(Duration::from_micros(age))
    }
}
