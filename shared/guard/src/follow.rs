//! Keeps an access state in step with the live access feed of auth-service.

mod session;
mod translate;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use identity_proto::auth::v1::{FeedCursor, access_feed_service_client::AccessFeedServiceClient};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::{
    channel::{IdentityChannel, retry::chance},
    clock::SharedClock,
    engine::AccessState,
};
use session::{End, Session};

/// The largest message of the feed that is taken, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The first and the longest wait before connecting again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait that a server may ask for when it says goodbye.
const LONGEST_GOODBYE: Duration = Duration::from_secs(10);

/// The wait before asking again a server that refuses us: somebody has to change something first.
const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// What [`AccessState::max_staleness`] may be, which the server takes as the lease of a follower.
const STALENESS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);

/// The longest name of a watcher, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// How to follow.
#[derive(Clone, Debug)]
pub struct FollowConfig {
    /// Who follows, for the server's logs: at most 64 characters of `a-z`, `0-9`, `.`, `_`, `:` and `-`.
    pub watcher_name: String,
}

/// Why a feed cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The bound of the state's age is one that no server takes.
    #[error("the greatest staleness must be 100 ms to 5 min, not {0:?}")]
    Staleness(Duration),
    /// The name is one that no server takes.
    #[error("the watcher's name must be at most 64 characters of a-z, 0-9, '.', '_', ':' and '-'")]
    WatcherName,
}

/// Follows the live access feed.
///
/// - The state is fresh only by pongs: its age is what the server says about its sources plus the whole time since
///   the ping was sent, on a clock that runs through suspend. Nothing that the server sends can make it younger.
/// - A snapshot is built aside and applied whole; revocations that are known stay known.
/// - After a lost stream it resumes from the last change applied. After a change that it does not know, or cannot
///   decode, the state is stale at once and a new snapshot is taken.
/// - A server that is away is tried at least once a second, one that refuses this follower about twice a minute.
pub struct Follower {
    client: AccessFeedServiceClient<IdentityChannel>,
    state: Arc<AccessState>,
    clock: SharedClock,
    config: FollowConfig,
    /// The last change applied.
    cursor: Option<FeedCursor>,
}

/// What the last session came to. The log tells of changes alone: a server that is away is tried many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Following,
    Lost,
    Silent,
    Refused(Code),
    NotUnderstood,
}

impl Follower {
    /// Follows until cancelled, in a task of its own.
    ///
    /// # Errors
    /// A greatest staleness of the state, or a name, that no server takes.
    pub fn spawn(
        channel: IdentityChannel,
        state: Arc<AccessState>,
        clock: SharedClock,
        config: FollowConfig,
        cancel: CancellationToken,
    ) -> Result<JoinHandle<()>, FollowError> {
        let max_staleness = state.max_staleness();
        if !STALENESS.contains(&max_staleness) {
            return Err(FollowError::Staleness(max_staleness));
        }
        if !is_watcher_name(&config.watcher_name) {
            return Err(FollowError::WatcherName);
        }
        let follower = Self {
            client: AccessFeedServiceClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            state,
            clock,
            config,
            cursor: None,
        };
        Ok(tokio::spawn(async move {
            // Dropping a session at any point leaves the state whole: changes are applied between awaits.
            let _ = cancel.run_until_cancelled(follower.run()).await;
        }))
    }

    async fn run(mut self) {
        let mut standing = Standing::Following;
        let mut losses = 0;
        loop {
            let mut session = Session::new(&mut self);
            let end = session.run().await;
            if session.was_live() {
                standing = Standing::Following;
                losses = 0;
            }
            let wait = wait_after(&end, losses, chance());
            losses += 1;
            self.take(&end);
            let now = standing_after(&end);
            if now != standing {
                tell(&end);
                standing = now;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Draws from an end what it means for the state.
    fn take(&mut self, end: &End) {
        if let End::NotUnderstood(_) = end {
            self.cursor = None;
            self.state.mark_stale();
        }
    }
}

fn is_watcher_name(name: &str) -> bool {
    let is_valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:-".contains(&byte);
    name.len() <= MAX_NAME_LENGTH && name.bytes().all(is_valid)
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

fn tell(end: &End) {
    match end {
        End::Goodbye(_) => {}
        End::Lost(status) => tracing::warn!(code = ?status.code(), "access feed lost"),
        End::Silent => tracing::warn!("access feed silent"),
        End::Refused(code) => tracing::error!(?code, "access feed refused by its server"),
        End::NotUnderstood(what) => {
            tracing::error!(what, "access feed not understood, taking a new snapshot");
        }
    }
}

/// The wait after a session, before which `losses` in a row came to nothing.
fn wait_after(end: &End, losses: u32, chance: u16) -> Duration {
    match end {
        End::Refused(_) => jittered(REFUSED_WAIT, chance),
        End::Goodbye(asked) => backoff(losses, chance).max((*asked).min(LONGEST_GOODBYE)),
        End::Lost(_) | End::Silent | End::NotUnderstood(_) => backoff(losses, chance),
    }
}

/// The wait after `losses` sessions in a row that came to nothing: doubled each time.
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
mod tests;
