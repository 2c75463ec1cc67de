//! Time as a parameter: a wall clock for what is written down, a steady one for ages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// A moment in microseconds since the Unix epoch, as the databases keep it.
///
/// Arithmetic saturates at the ends of the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the Unix epoch, as tokens carry them.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// This moment and a span.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// A span before this moment.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }

    /// The span since an earlier moment; zero when that one is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let span = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_micros(u64::try_from(span).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(micros(after)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(at: Timestamp) -> Self {
        let nanos = at.0.rem_euclid(MICROS_PER_SECOND) * 1_000;
        Self {
            seconds: at.seconds(),
            nanos: i32::try_from(nanos).unwrap_or(0),
        }
    }
}

impl From<prost_types::Timestamp> for Timestamp {
    /// Nanoseconds are cut to microseconds.
    fn from(at: prost_types::Timestamp) -> Self {
        Self(
            at.seconds
                .saturating_mul(MICROS_PER_SECOND)
                .saturating_add(i64::from(at.nanos).div_euclid(1_000)),
        )
    }
}

/// A span in microseconds, at most the range of [`Timestamp`].
#[must_use]
pub fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It can be stepped; never measure a span with it.
    fn now(&self) -> Timestamp;

    /// A span since a fixed moment. It never goes back and runs on while the machine is suspended.
    fn elapsed(&self) -> Duration;
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn elapsed(&self) -> Duration {
        // Not `Instant`: its clock stands still in suspend, and old state would look fresh after it.
        let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            u64::try_from(at.tv_sec).unwrap_or(0),
            u32::try_from(at.tv_nsec).unwrap_or(0),
        )
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    fn elapsed(&self) -> Duration {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed()
    }
}

/// A clock that tests move.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    elapsed: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `start`, with nothing elapsed.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            now: AtomicI64::new(start.as_micros()),
            elapsed: AtomicU64::new(0),
        }
    }

    /// Moves both times forward.
    pub fn advance(&self, span: Duration) {
        let span = micros(span);
        self.elapsed
            .fetch_add(span.unsigned_abs(), Ordering::SeqCst);
        self.now.fetch_add(span, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, as an operator or a time server does.
    pub fn step_to(&self, now: Timestamp) {
        self.now.store(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_and_back_keeps_microseconds_also_before_the_epoch() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -1_500_000] {
            let at = Timestamp::from_micros(micros);
            let wire = prost_types::Timestamp::from(at);
            assert!((0..1_000_000_000).contains(&wire.nanos));
            assert_eq!(Timestamp::from(wire), at);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_micros(i64::MAX);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(Timestamp::from_micros(5).since(end), Duration::ZERO);
        assert_eq!(
            end.since(Timestamp::from_micros(i64::MIN)),
            Duration::from_micros(u64::MAX)
        );
    }

    #[test]
    fn stepping_the_wall_clock_leaves_elapsed_alone() {
        let clock = ManualClock::new(Timestamp::from_seconds(100));
        clock.advance(Duration::from_secs(3));
        clock.step_to(Timestamp::from_seconds(1));
        assert_eq!(clock.now().seconds(), 1);
        assert_eq!(clock.elapsed(), Duration::from_secs(3));
    }

    #[test]
    fn the_clock_of_the_machine_goes_forward() {
        let before = SystemClock.elapsed();
        assert!(SystemClock.elapsed() >= before);
        assert!(SystemClock.now() > Timestamp::from_seconds(1_700_000_000));
    }
}
