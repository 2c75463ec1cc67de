//! One watcher: from its Start to its end, in step with the memory.

use std::time::Duration;

use identity_guard::status::{ErrorReason, Failure};
use identity_kit::outbox::{self, Cursor, Read};
use identity_proto::auth::v1::{
    SourceState, WatchRequest, WatchResponse, watch_request::Message as Heard,
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tonic::{Status, Streaming};

use super::{
    AccessFeedGrpc,
    memory::{Missing, Standpoint},
    wire,
};
use crate::domain::signing_key::SigningKey;

/// Between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How long a watcher may take to begin, and to take a message, before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a watcher waits at least after a goodbye.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Why a stream ends.
enum End {
    /// The watcher has left or is too slow.
    Left,
    /// The server is about to stop.
    Draining,
    /// The watcher is told why.
    Refused(Box<Status>),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Refused(Box::new(failure.into()))
    }
}

/// One watcher.
pub(super) struct Watch {
    feed: AccessFeedGrpc,
    incoming: Streaming<WatchRequest>,
    outgoing: mpsc::Sender<Result<WatchResponse, Status>>,
    /// Where the watcher stands when it has all that was sent; none before the snapshot.
    standpoint: Option<Standpoint>,
    /// When all that was sent was proven to be everything.
    fresh_at: Option<Duration>,
}

impl Watch {
    pub(super) fn new(
        feed: AccessFeedGrpc,
        incoming: Streaming<WatchRequest>,
        outgoing: mpsc::Sender<Result<WatchResponse, Status>>,
    ) -> Self {
        Self {
            feed,
            incoming,
            outgoing,
            standpoint: None,
            fresh_at: None,
        }
    }

    pub(super) async fn run(mut self) {
        let draining = self.feed.draining.clone();
        let end = tokio::select! {
            end = self.serve() => end,
            () = draining.cancelled() => End::Draining,
        };
        let last = match end {
            End::Left => return,
            End::Draining => Ok(wire::goodbye(RECONNECT_DELAY)),
            End::Refused(status) => Err(*status),
        };
        // Whether it arrives or not, the stream ends here.
        let _ = timeout(PATIENCE, self.outgoing.send(last)).await;
    }

    async fn serve(&mut self) -> End {
        match self.follow().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, End> {
        let mut changed = self.feed.memory.changes();
        self.begin().await?;
        let mut checkpoints = interval(CHECKPOINT_EVERY);
        checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            changed.mark_unchanged();
            self.catch_up().await?;
            tokio::select! {
                woken = changed.changed() => woken.map_err(|_| End::Draining)?,
                heard = self.incoming.message() => match heard.map_err(|_| End::Left)? {
                    None => return Err(End::Left),
                    Some(request) => self.hear(request).await?,
                },
                _ = checkpoints.tick() => {
                    self.catch_up().await?;
                    let sources = self.sources();
                    self.send(wire::checkpoint(sources)).await?;
                }
            }
        }
    }

    /// Hears the Start, and takes its cursor where it is one of this database's own.
    async fn begin(&mut self) -> Result<(), End> {
        let first = timeout(PATIENCE, self.incoming.message())
            .await
            .map_err(|_| End::Left)?
            .map_err(|_| End::Left)?
            .ok_or(End::Left)?;
        let start = match first.message {
            Some(Heard::Start(start)) => Some(start),
            _ => None,
        };
        let beginning = wire::beginning(start)?;
        if let Some(cursor) = beginning.cursor
            && self.is_own(&cursor).await?
        {
            self.standpoint = self.feed.memory.standpoint().map(|now| Standpoint {
                history: now.history,
                cursor,
            });
        }
        let resumed = self.standpoint.is_some();
        tracing::info!(
            watcher = beginning.watcher,
            resumed,
            "watching the access feed"
        );
        Ok(())
    }

    /// Whether the row at a cursor is the one that the watcher saw. A restored or copied database has another.
    async fn is_own(&self, cursor: &Cursor) -> Result<bool, End> {
        match outbox::read(self.feed.database.reader(), cursor, 1).await {
            Ok(Read::Events { .. }) => Ok(true),
            Ok(Read::Reset) => Ok(false),
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    async fn hear(&mut self, request: WatchRequest) -> Result<(), End> {
        match request.message {
            Some(Heard::Ping(ping)) => {
                // Read after the ping was: what it proves is newer than its sending.
                self.catch_up().await?;
                let sources = self.sources();
                self.send(wire::pong(ping.nonce, sources)).await
            }
            Some(Heard::Acknowledge(acknowledge)) => {
                let revision = acknowledge.position.map(|position| position.revision);
                tracing::trace!(revision, "acknowledged");
                Ok(())
            }
            Some(Heard::Start(_)) => {
                Err(Failure::invalid_fields([("start", "must be the first message alone")]).into())
            }
            // A message of a later version that this one does not know: it asks for nothing that is promised here.
            None => Ok(()),
        }
    }

    /// Sends what the watcher has not, part after part: no more of it waits here than the channel holds.
    async fn catch_up(&mut self) -> Result<(), End> {
        // Before the memory is loaded there is nothing to say.
        while let Some(view) = self.feed.memory.view(self.standpoint.as_ref()) {
            let is_everything = match view.missing {
                Missing::Changes { changes, all } => {
                    if !changes.is_empty() {
                        self.send(wire::changes(&changes)).await?;
                    }
                    all
                }
                Missing::Everything(keys) => self.send_everything(&keys, &view.standpoint).await?,
            };
            self.standpoint = Some(view.standpoint);
            if is_everything {
                self.fresh_at = view.fresh_at;
                break;
            }
        }
        Ok(())
    }

    /// Sends a snapshot; false when another history began meanwhile, and nobody can stand where this one was.
    async fn send_everything(
        &mut self,
        keys: &[SigningKey],
        standpoint: &Standpoint,
    ) -> Result<bool, End> {
        let (history, feed) = (standpoint.history, self.feed.clone());
        self.send(wire::reset()).await?;
        let mut last = None;
        loop {
            let Some(sessions) = feed.memory.sessions(history, last.as_ref()) else {
                return Ok(false);
            };
            let Some(end) = sessions.last() else { break };
            last = Some(end.session_id.clone());
            self.send(wire::sessions(&feed.issuer, &sessions)).await?;
        }
        let mut last = None;
        loop {
            let Some(subjects) = feed.memory.subjects(history, last.as_ref()) else {
                return Ok(false);
            };
            let Some(end) = subjects.last() else { break };
            last = Some(end.user_id.clone());
            self.send(wire::subjects(&feed.issuer, &subjects)).await?;
        }
        let end = wire::last_part(&feed.issuer, keys, &standpoint.cursor);
        self.send(end).await?;
        Ok(true)
    }

    /// What was sent, as old as it is now; nothing where it was never proven to be everything.
    fn sources(&self) -> Vec<SourceState> {
        self.standpoint
            .iter()
            .zip(self.fresh_at)
            .map(|(standpoint, fresh_at)| {
                let age = self.feed.clock.elapsed().saturating_sub(fresh_at);
                wire::source(&standpoint.cursor, age)
            })
            .collect()
    }

    /// A watcher that takes nothing for long is given up; it comes back with its cursor.
    async fn send(&self, message: WatchResponse) -> Result<(), End> {
        match timeout(PATIENCE, self.outgoing.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Left),
            Err(_) => Err(Failure::new(
                ErrorReason::DependencyUnavailable,
                "the watcher is too slow; connect again",
            )
            .with_retry_after(RECONNECT_DELAY)
            .into()),
        }
    }
}
