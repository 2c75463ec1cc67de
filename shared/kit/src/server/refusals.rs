//! Refused connections: each is counted, and now and then the log says how many there were.

use std::future::pending;

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::time::{Duration, Instant, sleep_until};

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The listener has all the connections that it may have.
    ListenerFull,
    /// Its address has.
    AddressFull,
}

/// The metric of refused connections of all listeners.
pub(super) struct RefusalMetric(IntCounterVec);

impl RefusalMetric {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refused = IntCounterVec::new(
            Opts::new(
                "server_connections_refused_total",
                "Connections that were closed at once, by listener and by the limit that they were beyond.",
            ),
            &["listener", "limit"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self(refused))
    }

    /// The refusals of one listener, of which the log tells at most once in `interval`.
    pub(super) fn of(&self, listener: &'static str, interval: Duration) -> Refusals {
        let count = |limit| Count {
            total: self.0.with_label_values(&[listener, limit]),
            unsaid: 0,
        };
        Refusals {
            listener,
            interval,
            by_listener: count("listener"),
            by_address: count("address"),
            due: None,
        }
    }
}

/// The refusals of one listener. What is not said yet is said when it is dropped.
pub(super) struct Refusals {
    listener: &'static str,
    interval: Duration,
    by_listener: Count,
    by_address: Count,
    /// When the log tells of what was refused since the last line.
    due: Option<Instant>,
}

struct Count {
    total: IntCounter,
    unsaid: u64,
}

impl Refusals {
    /// Counts a refused connection.
    pub(super) fn count(&mut self, refusal: Refusal) {
        let count = match refusal {
            Refusal::ListenerFull => &mut self.by_listener,
            Refusal::AddressFull => &mut self.by_address,
        };
        count.total.inc();
        count.unsaid += 1;
        self.due
            .get_or_insert_with(|| Instant::now() + self.interval);
    }

    /// Ends when there is something to say, and it is time.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }

    /// Says how many connections were refused since the last line.
    pub(super) fn say(&mut self) {
        if self.due.take().is_none() {
            return;
        }
        tracing::warn!(
            listener = self.listener,
            beyond_listener_limit = std::mem::take(&mut self.by_listener.unsaid),
            beyond_address_limit = std::mem::take(&mut self.by_address.unsaid),
            "connections were refused"
        );
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        self.say();
    }
}
