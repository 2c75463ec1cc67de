//! The attempts under one key: a window, and the block behind a full one.

use std::time::Duration;

use identity_guard::clock::Timestamp;

use super::Limit;

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, and is counted.
    Admitted,
    /// It may not, and is not counted.
    Refused {
        /// When it may.
        retry_after: Duration,
    },
}

/// The attempts under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// In this window, without those that succeeded.
    pub attempts: u32,
    /// When the window began.
    pub window_started_at: Timestamp,
    /// Until when all are refused.
    pub blocked_until: Option<Timestamp>,
    /// How many blocks followed each other.
    pub blocks: u32,
}

impl Counter {
    /// Nothing counted.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            attempts: 0,
            window_started_at: now,
            blocked_until: None,
            blocks: 0,
        }
    }

    /// What is left of a block.
    #[must_use]
    pub fn blocked_for(&self, now: Timestamp) -> Option<Duration> {
        let until = self.blocked_until.filter(|until| *until > now)?;
        Some(until.since(now))
    }

    /// Counts an attempt that is about to be made. The last one of a window starts the block behind it.
    pub fn charge(&mut self, limit: &Limit, now: Timestamp) -> Admission {
        if let Some(retry_after) = self.blocked_for(now) {
            return Admission::Refused { retry_after };
        }
        if now >= self.forgotten_at(limit) {
            *self = Self::new(now);
        } else if self.blocked_until.is_some() || now >= self.window_started_at.plus(limit.window) {
            self.attempts = 0;
            self.window_started_at = now;
            self.blocked_until = None;
        }
        self.attempts += 1;
        if self.attempts >= limit.attempts {
            let growth = 2_u32.saturating_pow(self.blocks);
            let block = limit.window.saturating_mul(growth).min(limit.longest_block);
            self.blocked_until = Some(now.plus(block));
            self.blocks = self.blocks.saturating_add(1);
        }
        Admission::Admitted
    }

    /// Takes back an attempt that was no failure.
    pub fn refund(&mut self, limit: &Limit) {
        if self.attempts >= limit.attempts && self.blocked_until.take().is_some() {
            self.blocks = self.blocks.saturating_sub(1);
        }
        self.attempts = self.attempts.saturating_sub(1);
    }

    /// When the counter means nothing any more and its row can go.
    #[must_use]
    pub fn forgotten_at(&self, limit: &Limit) -> Timestamp {
        let end = self.window_started_at.plus(limit.window);
        self.blocked_until
            .map_or(end, |until| end.max(until.plus(limit.longest_block)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use identity_guard::clock::Timestamp;

    use super::{Admission, Counter, Limit};

    const WINDOW: Duration = Duration::from_mins(15);
    const LIMIT: Limit = Limit {
        attempts: 3,
        window: WINDOW,
        longest_block: Duration::from_hours(1),
    };

    fn exhaust(counter: &mut Counter, now: Timestamp) {
        for _ in 0..LIMIT.attempts {
            assert_eq!(counter.charge(&LIMIT, now), Admission::Admitted);
        }
    }

    #[test]
    fn the_attempt_after_the_last_one_is_refused_until_the_block_ends() {
        let now = Timestamp::from_micros(0);
        let mut counter = Counter::new(now);
        exhaust(&mut counter, now);
        assert_eq!(
            counter.charge(&LIMIT, now),
            Admission::Refused {
                retry_after: WINDOW
            }
        );
        assert_eq!(
            counter.charge(&LIMIT, now.plus(WINDOW)),
            Admission::Admitted
        );
    }

    #[test]
    fn each_further_block_is_twice_as_long_up_to_the_longest() {
        let mut now = Timestamp::from_micros(0);
        let mut counter = Counter::new(now);
        for expected in [900, 1800, 3600, 3600] {
            exhaust(&mut counter, now);
            let block = counter.blocked_for(now).unwrap();
            assert_eq!(block, Duration::from_secs(expected));
            now = now.plus(block);
        }
        now = now.plus(LIMIT.longest_block);
        exhaust(&mut counter, now);
        assert_eq!(
            counter.blocked_for(now),
            Some(WINDOW),
            "a long rest is forgiven"
        );
    }

    #[test]
    fn a_window_forgets_and_a_refund_gives_back() {
        let now = Timestamp::from_micros(0);
        let mut counter = Counter::new(now);
        counter.charge(&LIMIT, now);
        counter.charge(&LIMIT, now.plus(WINDOW));
        assert_eq!(counter.attempts, 1);

        let mut counter = Counter::new(now);
        exhaust(&mut counter, now);
        counter.refund(&LIMIT);
        assert_eq!(counter.attempts, 2);
        assert_eq!(counter.charge(&LIMIT, now), Admission::Admitted);
        assert_eq!(
            counter.blocked_for(now),
            Some(WINDOW),
            "the block did not grow"
        );
    }
}
