//! Pings under way: when each was asked, so that an answer proves no more than it can.

use std::{collections::VecDeque, time::Duration};

/// Pings whose answers are awaited; an answer that comes later proves nothing any more.
const MAX_PINGS: usize = 64;

/// The pings of one stream.
#[derive(Debug, Default)]
pub struct Pings {
    /// Nonces and when they were sent, on the steady clock; oldest first.
    sent: VecDeque<(u64, Duration)>,
    last_nonce: u64,
}

impl Pings {
    /// The nonce of the next ping.
    pub fn next_nonce(&mut self) -> u64 {
        self.last_nonce += 1;
        self.last_nonce
    }

    /// A ping was sent. The moment is one before the sending: an age can come out too great, never too small.
    pub fn sent(&mut self, nonce: u64, at: Duration) {
        if self.sent.len() == MAX_PINGS {
            self.sent.pop_front();
        }
        self.sent.push_back((nonce, at));
    }

    /// When the ping with this nonce was sent; each counts once.
    pub fn answered(&mut self, nonce: u64) -> Option<Duration> {
        let index = self.sent.iter().position(|(sent, _)| *sent == nonce)?;
        let (_, sent_at) = self.sent.remove(index)?;
        Some(sent_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_and_an_old_one_not_at_all() {
        let mut pings = Pings::default();
        let first = pings.next_nonce();
        pings.sent(first, Duration::from_secs(1));
        assert_eq!(pings.answered(first), Some(Duration::from_secs(1)));
        assert_eq!(pings.answered(first), None);
        let old = pings.next_nonce();
        pings.sent(old, Duration::from_secs(2));
        for _ in 0..MAX_PINGS {
            let nonce = pings.next_nonce();
            pings.sent(nonce, Duration::from_secs(3));
        }
        assert_eq!(pings.answered(old), None);
    }
}
