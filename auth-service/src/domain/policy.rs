//! How long things live and how often they may be tried.

use std::time::Duration;

use super::throttle::ThrottleLimits;

/// Lives and bounds of sessions and tokens, from the configuration.
#[derive(Debug, Clone)]
pub struct SessionPolicy {
    /// The life of an access token.
    pub access_token_life: Duration,
    /// How long a session lives without a refresh; also the life of a refresh token.
    pub idle_life: Duration,
    /// How long a session lives in any case.
    pub absolute_life: Duration,
    /// How far clocks may differ; revocations are kept for that much longer.
    pub leeway: Duration,
    /// How long a lost answer of a refresh can be fetched again.
    pub retry_window: Duration,
    /// How often it can be fetched.
    pub retry_limit: u32,
    /// The life of a challenge.
    pub challenge_life: Duration,
    /// How many answers to one challenge are looked at.
    pub challenge_attempts: u32,
    /// How long one answer to a challenge keeps others waiting: longer than any call lives.
    pub challenge_claim: Duration,
    /// When logins are refused for their number.
    pub throttle: ThrottleLimits,
}

/// How much longer than any token a subject's row stays without a session: longer than any call takes that has read it.
const SUBJECT_MARGIN: Duration = Duration::from_mins(5);

impl SessionPolicy {
    /// How long a subject's row stays without a session: all tokens of the subject have ended by then, on every clock.
    #[must_use]
    pub fn subject_rest(&self) -> Duration {
        self.access_token_life + self.leeway + SUBJECT_MARGIN
    }
}

impl Default for SessionPolicy {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            access_token_life: Duration::from_mins(10),
            idle_life: DAY * 30,
            absolute_life: DAY * 90,
            leeway: Duration::from_secs(30),
            retry_window: Duration::from_secs(10),
            retry_limit: 3,
            challenge_life: Duration::from_mins(10),
            challenge_attempts: 10,
            challenge_claim: Duration::from_mins(1),
            throttle: ThrottleLimits::default(),
        }
    }
}
