//! Counting of login attempts: each is counted before it is made, so that many at once do not slip through.

use std::{fmt, time::Duration};

use aws_lc_rs::hmac;
use identity_guard::clock::Timestamp;

use super::{id::UserId, identifier::LoginIdentifier};

const MINUTE: Duration = Duration::from_mins(1);

/// How many attempts within a window, and how long the block may grow that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Attempts without success within the window; the next one is refused.
    pub attempts: u32,
    /// The window; also the first block. Each further block is twice as long.
    pub window: Duration,
    /// The longest block.
    pub longest_block: Duration,
}

/// When logins are refused for their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Of one identifier from one network: told.
    pub pair: Limit,
    /// Of one network: told.
    pub network: Limit,
    /// Of one account over all identifiers and networks: never told.
    pub account: Limit,
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        let limit = |attempts| Limit {
            attempts,
            window: MINUTE * 15,
            longest_block: MINUTE * 60,
        };
        Self {
            pair: limit(10),
            network: limit(100),
            account: limit(100),
        }
    }
}

/// Under which a counter is kept: it tells nobody what was typed or from where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleKey(Vec<u8>);

impl ThrottleKey {
    /// Takes a key from the own database.
    #[must_use]
    pub fn trusted(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ThrottleKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ThrottleKey(…)")
    }
}

/// Makes the keys of counters.
pub struct ThrottleKeys(hmac::Key);

impl ThrottleKeys {
    /// With a secret, so that the table cannot be searched by guessing.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Of an identifier from a network.
    #[must_use]
    pub fn pair(&self, identifier: &LoginIdentifier, network: &str) -> ThrottleKey {
        self.key(&["pair", &identifier.canonical(), network])
    }

    /// Of a network.
    #[must_use]
    pub fn network(&self, network: &str) -> ThrottleKey {
        self.key(&["network", network])
    }

    /// Of an account.
    #[must_use]
    pub fn account(&self, user_id: &UserId) -> ThrottleKey {
        self.key(&["account", user_id.as_str()])
    }

    /// In the place of an account that does not exist, so that it costs the same.
    #[must_use]
    pub fn no_account(&self, identifier: &LoginIdentifier) -> ThrottleKey {
        self.key(&["no account", &identifier.canonical()])
    }

    fn key(&self, parts: &[&str]) -> ThrottleKey {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            // The length first: no two lists of parts run together into one text.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        ThrottleKey(context.sign().as_ref().to_vec())
    }
}

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

/// Under which a login is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginKeys {
    /// Of the identifier from the network.
    pub pair: ThrottleKey,
    /// Of the network.
    pub network: ThrottleKey,
    /// Of the account, or what stands in its place.
    pub account: ThrottleKey,
}

/// The counters of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginCounters {
    /// Of the identifier from the network.
    pub pair: Counter,
    /// Of the network.
    pub network: Counter,
    /// Of the account.
    pub account: Counter,
}

/// Whether a login may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginAdmission {
    /// It may, and is counted.
    Admitted,
    /// It is counted and cannot succeed; nobody is told.
    AccountLocked,
    /// It may not, and is not counted.
    Refused {
        /// When it may.
        retry_after: Duration,
    },
}

impl LoginCounters {
    /// Counts a login that is about to be tried.
    pub fn charge(&mut self, limits: &ThrottleLimits, now: Timestamp) -> LoginAdmission {
        let blocks = [self.pair.blocked_for(now), self.network.blocked_for(now)];
        if let Some(retry_after) = blocks.into_iter().flatten().max() {
            return LoginAdmission::Refused { retry_after };
        }
        self.pair.charge(&limits.pair, now);
        self.network.charge(&limits.network, now);
        match self.account.charge(&limits.account, now) {
            Admission::Admitted => LoginAdmission::Admitted,
            Admission::Refused { .. } => LoginAdmission::AccountLocked,
        }
    }

    /// The login was a success: the identifier and the account begin anew, the network gets its attempt back.
    pub fn succeed(&mut self, limits: &ThrottleLimits, now: Timestamp) {
        self.pair = Counter::new(now);
        self.account = Counter::new(now);
        self.network.refund(&limits.network);
    }

    /// The login was not decided: what was charged is given back. A locked account was not charged, and its lock is
    /// not this attempt's to end.
    pub fn refund(&mut self, limits: &ThrottleLimits, account_was_locked: bool) {
        self.pair.refund(&limits.pair);
        self.network.refund(&limits.network);
        if !account_was_locked {
            self.account.refund(&limits.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use identity_guard::clock::Timestamp;

    use super::{
        Admission, Counter, Limit, LoginAdmission, LoginCounters, ThrottleKeys, ThrottleLimits,
    };
    use crate::domain::identifier::LoginIdentifier;

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

    #[test]
    fn spellings_share_a_key_and_parts_do_not_run_together() {
        let keys = ThrottleKeys::new(&[7; 32]);
        let identifier = |text| LoginIdentifier::parse(text).unwrap();
        assert_eq!(
            keys.pair(&identifier("Ada"), "n"),
            keys.pair(&identifier("ada"), "n")
        );
        assert_ne!(
            keys.pair(&identifier("ada1"), "27"),
            keys.pair(&identifier("ada"), "127")
        );
    }

    #[test]
    fn a_refund_never_ends_a_lock_that_it_did_not_begin() {
        let now = Timestamp::from_micros(0);
        let limits = ThrottleLimits::default();
        let mut counters = LoginCounters {
            pair: Counter::new(now),
            network: Counter::new(now),
            account: Counter::new(now),
        };
        for _ in 0..limits.account.attempts {
            counters.account.charge(&limits.account, now);
        }
        let locked = counters.charge(&limits, now) == LoginAdmission::AccountLocked;
        assert!(locked);
        counters.refund(&limits, locked);
        assert!(counters.account.blocked_for(now).is_some());
        assert_eq!((counters.pair.attempts, counters.network.attempts), (0, 0));
    }

    #[test]
    fn a_locked_account_is_not_told_and_a_blocked_network_is() {
        let now = Timestamp::from_micros(0);
        let limits = ThrottleLimits::default();
        let mut counters = LoginCounters {
            pair: Counter::new(now),
            network: Counter::new(now),
            account: Counter::new(now),
        };
        assert_eq!(counters.charge(&limits, now), LoginAdmission::Admitted);
        counters.account.blocked_until = Some(now.plus(WINDOW));
        assert_eq!(counters.charge(&limits, now), LoginAdmission::AccountLocked);
        counters.network.blocked_until = Some(now.plus(WINDOW));
        let before = counters;
        assert_eq!(
            counters.charge(&limits, now),
            LoginAdmission::Refused {
                retry_after: WINDOW
            }
        );
        assert_eq!(counters, before, "a refused attempt is not counted");
    }
}
