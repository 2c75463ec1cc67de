//! Keeps an access state in step with the live access feed of auth-service.

mod session;
mod translate;

use std::{sync::Arc, time::Duration};

use identity_proto::auth::v1::{FeedCursor, access_feed_service_client::AccessFeedServiceClient};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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

/// How to follow.
#[derive(Clone, Debug)]
pub struct FollowConfig {
    /// How old the state may be before it refuses to decide: the same as the state's own bound. From 100 ms to 5 min.
    pub max_staleness: Duration,
    /// Who follows, for the server's logs: at most 64 characters of `a-z`, `0-9`, `.`, `_`, `:` and `-`.
    pub watcher_name: String,
}

/// Follows the live access feed.
///
/// - The state is fresh only by pongs: its age is what the server says about its sources plus the whole time since
///   the ping was sent, on a clock that runs through suspend. Nothing that the server sends can make it younger.
/// - A snapshot is built aside and applied whole; revocations that are known stay known.
/// - After a lost stream it resumes from the last change applied. After a change that it does not know, or cannot
///   decode, the state is stale at once and a new snapshot is taken.
pub struct Follower {
    client: AccessFeedServiceClient<IdentityChannel>,
    state: Arc<AccessState>,
    clock: SharedClock,
    config: FollowConfig,
    /// The last change applied.
    cursor: Option<FeedCursor>,
}

impl Follower {
    /// Follows until cancelled, in a task of its own.
    #[must_use]
    pub fn spawn(
        channel: IdentityChannel,
        state: Arc<AccessState>,
        clock: SharedClock,
        config: FollowConfig,
        cancel: CancellationToken,
    ) -> JoinHandle<()> {
        let follower = Self {
            client: AccessFeedServiceClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            state,
            clock,
            config,
            cursor: None,
        };
        tokio::spawn(async move {
            // Dropping a session at any point leaves the state whole: changes are applied between awaits.
            let _ = cancel.run_until_cancelled(follower.run()).await;
        })
    }

    async fn run(mut self) {
        let mut losses = 0;
        loop {
            let mut session = Session::new(&mut self);
            let end = session.run().await;
            if session.was_live() {
                losses = 0;
            }
            let wait = backoff(losses, chance());
            // Said once: a server that is away is tried many times.
            let news = losses == 0;
            losses += 1;
            let wait = match end {
                End::Lost(status) => {
                    if news {
                        tracing::warn!(code = ?status.code(), "access feed lost");
                    }
                    wait
                }
                End::Silent => {
                    if news {
                        tracing::warn!("access feed silent");
                    }
                    wait
                }
                End::Goodbye(asked) => {
                    tracing::info!("access feed ended by its server");
                    wait.max(asked.min(LONGEST_GOODBYE))
                }
                End::NotUnderstood(what) => {
                    tracing::error!(what, "access feed not understood, taking a new snapshot");
                    self.cursor = None;
                    self.state.mark_stale();
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// The wait after `losses` sessions in a row that came to nothing: doubled each time, the upper half of it random.
fn backoff(losses: u32, chance: u16) -> Duration {
    let whole = FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(losses))
        .min(LONGEST_WAIT);
    whole / 2 + whole / 2 * u32::from(chance) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests;
