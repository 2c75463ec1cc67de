//! A clock that goes with the machine's and that tests move ahead.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use identity_guard::{
    SystemClock,
    clock::{Clock, Timestamp},
};

/// The clock of the machine, so far ahead as a test has moved it.
#[derive(Debug, Default)]
pub(crate) struct MovedClock {
    /// In microseconds.
    ahead: AtomicU64,
}

impl MovedClock {
    pub(crate) fn advance(&self, span: Duration) {
        let span = u64::try_from(span.as_micros()).unwrap();
        self.ahead.fetch_add(span, Ordering::SeqCst);
    }

    fn ahead(&self) -> Duration {
        Duration::from_micros(self.ahead.load(Ordering::SeqCst))
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.ahead())
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed() + self.ahead()
    }
}
