//! The three counters of a login together.

use std::time::Duration;

use identity_guard::clock::Timestamp;

use super::{Admission, Counter, ThrottleLimits};

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
    Admitted {
        /// Whether the account is locked from now on, unless this one is a success.
        locks_account: bool,
    },
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
            Admission::Admitted => LoginAdmission::Admitted {
                locks_account: self.account.blocked_for(now).is_some(),
            },
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

    use super::{Counter, LoginAdmission, LoginCounters, ThrottleLimits};

    const WINDOW: Duration = Duration::from_mins(15);

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
    fn only_the_attempt_that_locks_the_account_says_so() {
        let now = Timestamp::from_micros(0);
        let limits = ThrottleLimits::default();
        let mut account = Counter::new(now);
        let mut locks = 0;
        for attempt in 1..=limits.account.attempts + 5 {
            let mut counters = LoginCounters {
                pair: Counter::new(now),
                network: Counter::new(now),
                account,
            };
            match counters.charge(&limits, now) {
                LoginAdmission::Admitted { locks_account } => {
                    assert_eq!(locks_account, attempt == limits.account.attempts);
                    locks += u32::from(locks_account);
                }
                LoginAdmission::AccountLocked => assert!(attempt > limits.account.attempts),
                LoginAdmission::Refused { .. } => panic!("a new network"),
            }
            account = counters.account;
        }
        assert_eq!(locks, 1);
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
        assert_eq!(
            counters.charge(&limits, now),
            LoginAdmission::Admitted {
                locks_account: false
            }
        );
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
