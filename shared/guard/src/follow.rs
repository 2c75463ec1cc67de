//! Keeps an access state in step with the live access feed of auth-service; and the parts of a follower that other
//! feeds need as well.

mod pace;
mod pings;
mod session;
mod translate;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use identity_proto::auth::v1::{FeedCursor, access_feed_service_client::AccessFeedServiceClient};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{channel::IdentityChannel, clock::SharedClock, engine::AccessState};
pub use pace::{End, Pace};
pub use pings::Pings;
use session::Session;

/// The largest message of the feed that is taken, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

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
    /// The system gives no randomness for the id of the follower.
    #[error("the operating system gives no randomness")]
    NoRandomness,
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
    /// Tells this follower from all others, at the server that knows who still decides.
    id: String,
    /// The last change applied.
    cursor: Option<FeedCursor>,
}

impl Follower {
    /// Follows until cancelled, in a task of its own.
    ///
    /// # Errors
    /// A greatest staleness of the state, or a name, that no server takes; or there is no randomness.
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
            id: watcher_id()?,
            cursor: None,
        };
        Ok(tokio::spawn(async move {
            // Dropping a session at any point leaves the state whole: changes are applied between awaits.
            let _ = cancel.run_until_cancelled(follower.run()).await;
        }))
    }

    async fn run(mut self) {
        let mut pace = Pace::new("access");
        loop {
            let mut session = Session::new(&mut self);
            let end = session.run().await;
            let wait = pace.after(&end, session.was_live());
            self.take(&end);
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

#[expect(
    clippy::disallowed_methods,
    reason = "nothing that is decided hangs on it, and a backend has no source of its own to pass"
)]
fn watcher_id() -> Result<String, FollowError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| FollowError::NoRandomness)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn is_watcher_name(name: &str) -> bool {
    let is_valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:-".contains(&byte);
    name.len() <= MAX_NAME_LENGTH && name.bytes().all(is_valid)
}

#[cfg(test)]
mod tests;
