//! How many attempts are too many.

use std::time::Duration;

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
