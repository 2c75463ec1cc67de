//! The breaker: after several connection failures in a row it refuses calls at once and lets one try at a time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::clock::SharedClock;

/// How many connection failures in a row open it.
const FAILURES_TO_OPEN: u32 = 5;

/// How long it stays open before one call may try.
pub(super) const OPEN_FOR: Duration = Duration::from_millis(500);

/// Refuses calls to a server that cannot be reached.
pub(super) struct Breaker {
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
    },
    /// One call is trying.
    HalfOpen,
}

impl Breaker {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Leave to try, or nothing while it is open.
    pub(super) fn admit(&self) -> Option<Permit<'_>> {
        let mut state = self.state();
        let probing = match *state {
            State::Closed { .. } => false,
            State::Open { until } if self.clock.elapsed() >= until => {
                *state = State::HalfOpen;
                true
            }
            State::Open { .. } | State::HalfOpen => return None,
        };
        Some(Permit {
            breaker: self,
            probing,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> State {
        State::Open {
            until: self.clock.elapsed() + OPEN_FOR,
        }
    }
}

/// Leave to try once. Dropped without a verdict it counts for nothing, but a probe must not leave the breaker half
/// open for ever, so that opens it again.
pub(super) struct Permit<'b> {
    breaker: &'b Breaker,
    probing: bool,
}

impl Permit<'_> {
    /// The server was reached, whatever it answered.
    pub(super) fn reached(mut self) {
        *self.breaker.state() = State::Closed { failures: 0 };
        self.probing = false;
    }

    /// The server was not reached, or the connection was lost.
    pub(super) fn failed(mut self) {
        let mut state = self.breaker.state();
        match *state {
            State::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => {
                *state = State::Closed {
                    failures: failures + 1,
                };
            }
            // A call that began before it opened does not prolong it.
            State::Open { .. } => {}
            State::HalfOpen if !self.probing => {}
            State::Closed { .. } | State::HalfOpen => *state = self.breaker.open(),
        }
        drop(state);
        self.probing = false;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probing {
            let mut state = self.breaker.state();
            if matches!(*state, State::HalfOpen) {
                *state = self.breaker.open();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    fn breaker() -> (Breaker, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        (Breaker::new(clock.clone()), clock)
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.admit().expect("closed").failed();
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES_TO_OPEN - 1);
        breaker.admit().expect("still closed").reached();
        fail(&breaker, FAILURES_TO_OPEN);
        assert!(breaker.admit().is_none());

        clock.advance(OPEN_FOR);
        let probe = breaker.admit().expect("one probe");
        assert!(breaker.admit().is_none(), "and only one");
        probe.reached();
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn a_probe_that_fails_or_is_given_up_opens_it_again() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES_TO_OPEN);
        clock.advance(OPEN_FOR);
        breaker.admit().expect("probe").failed();
        assert!(breaker.admit().is_none());
        clock.advance(OPEN_FOR);
        drop(breaker.admit().expect("probe"));
        assert!(breaker.admit().is_none());
        clock.advance(OPEN_FOR);
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn a_late_failure_does_not_prolong_it() {
        let (breaker, clock) = breaker();
        let late = breaker.admit().expect("closed");
        fail(&breaker, FAILURES_TO_OPEN);
        clock.advance(OPEN_FOR / 2);
        late.failed();
        clock.advance(OPEN_FOR / 2);
        assert!(breaker.admit().is_some());
    }
}
