//! One stream of the access feed, from Start to its end.

use std::time::Duration;

use identity_proto::auth::v1::{
    AccessChange, FeedCursor, SourceState, WatchRequest, WatchResponse,
    watch_request::{Acknowledge, Message as Say, Ping, Start},
    watch_response::{Message as Heard, Snapshot as Part},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    End, Follower, Pings,
    translate::{self, NotUnderstood},
};
use crate::engine::{Snapshot, Source};

/// The longest time between two pings.
const PING_EVERY: Duration = Duration::from_millis(500);

/// What waits to be sent. A server that does not read is not waited for: pings are left out.
const OUTGOING: usize = 16;

/// How long a server may say nothing at all: it owes a checkpoint a second.
const SHORTEST_SILENCE: Duration = Duration::from_secs(3);
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

impl From<NotUnderstood> for End {
    fn from(NotUnderstood(what): NotUnderstood) -> Self {
        Self::NotUnderstood(what)
    }
}

pub(super) struct Session<'f> {
    follower: &'f mut Follower,
    /// The snapshot that is being received.
    building: Option<Snapshot>,
    pings: Pings,
    acknowledged: Option<FeedCursor>,
    live: bool,
}

impl<'f> Session<'f> {
    pub(super) fn new(follower: &'f mut Follower) -> Self {
        Self {
            follower,
            building: None,
            pings: Pings::default(),
            acknowledged: None,
            live: false,
        }
    }

    /// Whether the stream has proven the state fresh.
    pub(super) fn was_live(&self) -> bool {
        self.live
    }

    pub(super) async fn run(&mut self) -> End {
        match self.follow().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, End> {
        let max_staleness = self.follower.state.max_staleness();
        let silence = max_staleness.clamp(SHORTEST_SILENCE, LONGEST_SILENCE);
        let (outgoing, requests) = mpsc::channel(OUTGOING);
        say(&outgoing, Say::Start(self.start()))?;
        let watching = self.follower.client.watch(ReceiverStream::new(requests));
        let resumes = self.follower.cursor.is_some();
        let lost = |status| End::of(status, resumes);
        let mut stream = timeout(silence, watching)
            .await
            .map_err(|_| End::Silent)?
            .map_err(lost)?
            .into_inner();

        let mut heard_at = Instant::now();
        let mut ticks = interval(PING_EVERY.min(max_staleness / 4));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if heard_at.elapsed() > silence {
                        return Err(End::Silent);
                    }
                    self.ping(&outgoing)?;
                }
                message = stream.message() => {
                    let message = message.map_err(lost)?.ok_or_else(End::closed)?;
                    heard_at = Instant::now();
                    self.hear(message)?;
                }
            }
            self.acknowledge(&outgoing)?;
        }
    }

    fn start(&self) -> Start {
        let max_staleness = self.follower.state.max_staleness();
        Start {
            cursor: self.follower.cursor.clone(),
            max_staleness: prost_types::Duration::try_from(max_staleness).ok(),
            watcher_name: self.follower.config.watcher_name.clone(),
            watcher_id: self.follower.id.clone(),
        }
    }

    fn ping(&mut self, outgoing: &mpsc::Sender<WatchRequest>) -> Result<(), End> {
        let nonce = self.pings.next_nonce();
        // The time before the sending: the age can come out too great, never too small.
        let sent_at = self.follower.clock.elapsed();
        if say(outgoing, Say::Ping(Ping { nonce }))? {
            self.pings.sent(nonce, sent_at);
        }
        Ok(())
    }

    /// Says how far the changes are applied, where that is news. What finds no room now goes with the next.
    fn acknowledge(&mut self, outgoing: &mpsc::Sender<WatchRequest>) -> Result<(), End> {
        if self.follower.cursor == self.acknowledged {
            return Ok(());
        }
        let position = self.follower.cursor.clone();
        if say(
            outgoing,
            Say::Acknowledge(Acknowledge {
                position: position.clone(),
            }),
        )? {
            self.acknowledged = position;
        }
        Ok(())
    }

    fn hear(&mut self, message: WatchResponse) -> Result<(), End> {
        match message.message.ok_or(NotUnderstood("kind of message"))? {
            Heard::Reset(_) => self.building = Some(Snapshot::default()),
            Heard::Snapshot(part) => self.build(part)?,
            Heard::Changes(changes) => self.apply(changes.changes)?,
            // It may have been long on its way, so it says where the feed is and not how old that is.
            Heard::Checkpoint(checkpoint) => self.see(&checkpoint.sources, None)?,
            Heard::Pong(pong) => {
                if let Some(sent_at) = self.pings.answered(pong.nonce) {
                    self.see(&pong.sources, Some(sent_at))?;
                }
            }
            Heard::Goodbye(goodbye) => {
                let delay = goodbye
                    .reconnect_delay
                    .and_then(|delay| delay.try_into().ok());
                return Err(End::Goodbye(delay.unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn build(&mut self, part: Part) -> Result<(), NotUnderstood> {
        let building = self
            .building
            .as_mut()
            .ok_or(NotUnderstood("snapshot without a reset"))?;
        let Some(cursor) = translate::add_part(building, part)? else {
            return Ok(());
        };
        if let Some(snapshot) = self.building.take() {
            self.follower.state.apply_snapshot(snapshot);
            self.follower.cursor = Some(cursor);
            tracing::info!("access feed snapshot applied");
        }
        Ok(())
    }

    fn apply(&mut self, changes: Vec<AccessChange>) -> Result<(), NotUnderstood> {
        for change in changes {
            let (cursor, change) = translate::change(change)?;
            if !self.continues(&cursor)? {
                continue;
            }
            self.follower.state.apply_change(change);
            self.follower.state.advance_to(translate::position(&cursor));
            self.follower.cursor = Some(cursor);
        }
        Ok(())
    }

    /// Whether a position lies after what is applied. One of another epoch makes no sense after it.
    fn continues(&self, cursor: &FeedCursor) -> Result<bool, NotUnderstood> {
        match &self.follower.cursor {
            Some(applied) if self.building.is_none() && applied.epoch == cursor.epoch => {
                Ok(cursor.revision > applied.revision)
            }
            _ => Err(NotUnderstood("position outside of the snapshot's epoch")),
        }
    }

    /// Takes what the server says of its sources: all that it says was sent before has been applied by now.
    ///
    /// `asked_at` is when it was asked, on the steady clock. Its ages are grown by the whole time since then, since
    /// it may have read its sources at any moment in between; without it they prove nothing.
    fn see(
        &mut self,
        sources: &[SourceState],
        asked_at: Option<Duration>,
    ) -> Result<(), NotUnderstood> {
        if self.building.is_some() || self.follower.cursor.is_none() {
            return Ok(());
        }
        for state in sources {
            let Some((source, cursor, age)) = translate::source(state) else {
                continue;
            };
            let position = translate::position(&cursor);
            if source == Source::Auth && self.continues(&cursor)? {
                self.follower.state.advance_to(position.clone());
                self.follower.cursor = Some(cursor);
            }
            if let Some(asked_at) = asked_at {
                let since = self.follower.clock.elapsed().saturating_sub(asked_at);
                let age = age.saturating_add(since);
                self.follower.state.observe_source(source, position, age);
                if source == Source::Auth && !self.live {
                    self.live = true;
                    tracing::info!("access feed followed");
                }
            }
        }
        Ok(())
    }
}

/// Sends a message; false when there is no room for it now.
fn say(outgoing: &mpsc::Sender<WatchRequest>, message: Say) -> Result<bool, End> {
    let request = WatchRequest {
        message: Some(message),
    };
    match outgoing.try_send(request) {
        Ok(()) => Ok(true),
        Err(mpsc::error::TrySendError::Full(_)) => Ok(false),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(End::closed()),
    }
}
