//! A clock that goes with the machine's and that tests move ahead, and waiting for what must happen.

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

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks a condition until it holds.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, holds)
        .await
        .unwrap_or_else(|_| panic!("{what} does not happen"));
}
