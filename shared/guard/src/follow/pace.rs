//! How soon a follower connects again.

use std::time::Duration;

use tonic::{Code, Status};

use crate::channel::retry::chance;

/// The first and the longest wait before connecting again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait that a server may ask for when it says goodbye.
const LONGEST_GOODBYE: Duration = Duration::from_secs(10);

/// The wait before asking again a server that refuses us: somebody has to change something first.
const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// Why a stream ended.
#[derive(Debug)]
pub enum End {
    /// By an error, or the server closed it.
    Lost(Status),
    /// The server will not have this follower, and asking again soon does not change that.
    Refused(Code),
    /// The server stopped talking.
    Silent,
    /// The server ends it, and asks to wait.
    Goodbye(Duration),
    /// The server said something that this version does not understand.
    NotUnderstood(&'static str),
}

impl End {
    /// What an error of a stream means. Without a cause in the transport, the codes of a message that is not
    /// understood are made by the decoder, or by a server that cannot go on from where we are.
    #[must_use]
    pub fn of(status: Status, resumes: bool) -> Self {
        let local = std::error::Error::source(&status).is_none();
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => Self::Refused(status.code()),
            // Without a cursor there is nothing left that we could leave out.
            Code::InvalidArgument if !resumes => Self::Refused(status.code()),
            Code::Internal | Code::OutOfRange | Code::DataLoss | Code::InvalidArgument if local => {
                Self::NotUnderstood("message")
            }
            _ => Self::Lost(status),
        }
    }

    /// The server closed the stream without a word.
    #[must_use]
    pub fn closed() -> Self {
        Self::Lost(Status::unavailable("the stream was closed"))
    }
}

/// What the last stream came to. The log tells of changes alone: a server that is away is tried many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Following,
    Lost,
    Silent,
    Refused(Code),
    NotUnderstood,
}

/// The pace of one follower. A server that is away is tried at least once a second, one that refuses us about twice a
/// minute.
#[derive(Debug)]
pub struct Pace {
    feed: &'static str,
    standing: Standing,
    losses: u32,
}

impl Pace {
    /// Of a follower of this feed, as the log calls it.
    #[must_use]
    pub const fn new(feed: &'static str) -> Self {
        Self {
            feed,
            standing: Standing::Following,
            losses: 0,
        }
    }

    /// Takes the end of a stream and gives the wait before the next; `was_live` when it had proven anything fresh.
    pub fn after(&mut self, end: &End, was_live: bool) -> Duration {
        if was_live {
            self.standing = Standing::Following;
            self.losses = 0;
        }
        let wait = wait_after(end, self.losses, chance());
        self.losses += 1;
        let standing = standing_after(end);
        if standing != self.standing {
            self.tell(end);
            self.standing = standing;
        }
        wait
    }

    fn tell(&self, end: &End) {
        let feed = self.feed;
        match end {
            End::Goodbye(_) => {}
            End::Lost(status) => tracing::warn!(feed, code = ?status.code(), "feed lost"),
            End::Silent => tracing::warn!(feed, "feed silent"),
            End::Refused(code) => tracing::error!(feed, ?code, "feed refused by its server"),
            End::NotUnderstood(what) => {
                tracing::error!(feed, what, "feed not understood, taking a new snapshot");
            }
        }
    }
}

fn standing_after(end: &End) -> Standing {
    match end {
        End::Goodbye(_) => Standing::Following,
        End::Lost(_) => Standing::Lost,
        End::Silent => Standing::Silent,
        End::Refused(code) => Standing::Refused(*code),
        End::NotUnderstood(_) => Standing::NotUnderstood,
    }
}

/// The wait after a stream, before which `losses` in a row came to nothing.
fn wait_after(end: &End, losses: u32, chance: u16) -> Duration {
    match end {
        End::Refused(_) => jittered(REFUSED_WAIT, chance),
        End::Goodbye(asked) => backoff(losses, chance).max((*asked).min(LONGEST_GOODBYE)),
        End::Lost(_) | End::Silent | End::NotUnderstood(_) => backoff(losses, chance),
    }
}

/// The wait after `losses` streams in a row that came to nothing: doubled each time.
fn backoff(losses: u32, chance: u16) -> Duration {
    let whole = FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(losses))
        .min(LONGEST_WAIT);
    jittered(whole, chance)
}

/// A wait of which the upper half is random.
fn jittered(whole: Duration, chance: u16) -> Duration {
    whole / 2 + whole / 2 * u32::from(chance) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_changes_alone() {
        let lost = || End::Lost(Status::unavailable("away"));
        assert_eq!(standing_after(&lost()), standing_after(&lost()));
        let refused = |code| standing_after(&End::Refused(code));
        assert_ne!(standing_after(&lost()), refused(Code::PermissionDenied));
        assert_ne!(
            refused(Code::Unauthenticated),
            refused(Code::PermissionDenied)
        );
        assert_eq!(
            standing_after(&End::Goodbye(Duration::ZERO)),
            Standing::Following
        );
    }

    #[test]
    fn a_refusal_is_waited_out_for_half_a_minute_at_most() {
        let refused = End::Refused(Code::PermissionDenied);
        assert_eq!(wait_after(&refused, 0, u16::MAX), REFUSED_WAIT);
        assert_eq!(wait_after(&refused, 9, 0), REFUSED_WAIT / 2);
    }

    #[test]
    fn waits_grow_to_a_second_and_half_of_them_is_random() {
        assert_eq!(backoff(0, 0), FIRST_WAIT / 2);
        assert_eq!(backoff(0, u16::MAX), FIRST_WAIT);
        assert_eq!(backoff(3, u16::MAX), FIRST_WAIT * 8);
        assert_eq!(backoff(40, u16::MAX), LONGEST_WAIT);
        assert_eq!(backoff(u32::MAX, 0), LONGEST_WAIT / 2);
    }

    #[test]
    fn a_refusal_that_lasts_is_told_from_a_loss() {
        let refused = |code, resumes| {
            let end = End::of(Status::new(code, ""), resumes);
            matches!(end, End::Refused(told) if told == code)
        };
        for resumes in [false, true] {
            assert!(refused(Code::PermissionDenied, resumes));
            assert!(refused(Code::Unauthenticated, resumes));
            assert!(!refused(Code::Unavailable, resumes));
            assert!(!refused(Code::ResourceExhausted, resumes));
        }
        assert!(refused(Code::InvalidArgument, false));
        // It may be the cursor that is wrong, and the next try has none.
        let end = End::of(Status::new(Code::InvalidArgument, ""), true);
        assert!(matches!(end, End::NotUnderstood(_)));
    }
}
