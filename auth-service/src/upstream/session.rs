//! One stream of the feed, from Start to its end.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use identity_guard::{
    engine::Source,
    follow::{End, Pings},
};
use identity_kit::outbox::Cursor;
use identity_proto::user::v1::{
    WatchRequest, WatchResponse,
    watch_request::{Acknowledge, Message as Say, Ping, Start},
    watch_response::{Message as Heard, Snapshot},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    Failed, Upstream, is_overtaken,
    translate::{self, KINDS, NotUnderstood},
};

/// Between two pings.
const PING_EVERY: Duration = Duration::from_millis(500);
/// How long a server may say nothing at all: it owes a checkpoint a second.
const SILENCE: Duration = Duration::from_secs(5);
/// What waits to be sent. A server that does not read is not waited for: pings are left out.
const OUTGOING: usize = 16;
/// Who follows, for the server's logs.
const NAME: &str = "auth-service";

impl From<NotUnderstood> for End {
    fn from(NotUnderstood(what): NotUnderstood) -> Self {
        Self::NotUnderstood(what)
    }
}

/// A snapshot on its way.
#[derive(Clone)]
struct Resetting {
    /// Where the database was when it began.
    from: Option<Cursor>,
}

pub(super) struct Session<'u> {
    upstream: &'u Upstream,
    /// Up to here everything has been applied; nothing before a snapshot.
    applied: Option<Cursor>,
    /// The snapshot that is being received.
    resetting: Option<Resetting>,
    acknowledged: Option<Cursor>,
    /// What is applied here and on its way to whoever decides by this service's own feed.
    settling: Option<Settling<'u>>,
    pings: Pings,
    live: bool,
}

/// A place of user-service's feed that is about to count wherever decisions are made.
struct Settling<'u> {
    cursor: Cursor,
    everywhere: Pin<Box<dyn Future<Output = Result<(), Failed>> + Send + 'u>>,
}

impl<'u> Session<'u> {
    pub(super) fn new(upstream: &'u Upstream) -> Self {
        Self {
            upstream,
            applied: None,
            resetting: None,
            acknowledged: None,
            settling: None,
            pings: Pings::default(),
            live: false,
        }
    }

    /// Whether the stream has proven the own state fresh.
    pub(super) const fn was_live(&self) -> bool {
        self.live
    }

    /// Follows until the stream ends; `anew` from a snapshot.
    pub(super) async fn run(&mut self, anew: bool) -> End {
        match self.follow(anew).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow(&mut self, anew: bool) -> Result<Infallible, End> {
        if !anew {
            self.applied = self
                .upstream
                .cursor()
                .await
                .map_err(|error| failed(&error))?;
        }
        let (outgoing, requests) = mpsc::channel(OUTGOING);
        say(&outgoing, Say::Start(self.start()))?;
        let mut client = self.upstream.client.clone();
        let resumes = self.applied.is_some();
        let lost = |status| End::of(status, resumes);
        let mut stream = timeout(SILENCE, client.watch(ReceiverStream::new(requests)))
            .await
            .map_err(|_| End::Silent)?
            .map_err(lost)?
            .into_inner();
        let mut heard_at = Instant::now();
        let mut ticks = interval(PING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if heard_at.elapsed() > SILENCE {
                        return Err(End::Silent);
                    }
                    self.ping(&outgoing)?;
                }
                message = stream.message() => {
                    let message = message.map_err(lost)?.ok_or_else(End::closed)?;
                    self.hear(message).await?;
                    heard_at = Instant::now();
                }
                settled = settled(&mut self.settling) => match settled {
                    Ok(cursor) => self.acknowledge(&outgoing, cursor)?,
                    Err(error) => tracing::debug!(error = ?error, "what counts everywhere is not known"),
                },
            }
            self.settle();
        }
    }

    fn start(&self) -> Start {
        let max_staleness = self.upstream.authority.state.max_staleness();
        Start {
            cursor: self.applied.as_ref().map(translate::to_wire),
            max_staleness: prost_types::Duration::try_from(max_staleness).ok(),
            watcher_name: NAME.to_owned(),
            watcher_id: self.upstream.watcher_id.clone(),
            kinds: KINDS.iter().map(|kind| (*kind).into()).collect(),
        }
    }

    fn ping(&mut self, outgoing: &mpsc::Sender<WatchRequest>) -> Result<(), End> {
        let nonce = self.pings.next_nonce();
        // The time before the sending: the age can come out too great, never too small.
        let sent_at = self.upstream.authority.clock.elapsed();
        if say(outgoing, Say::Ping(Ping { nonce }))? {
            self.pings.sent(nonce, sent_at);
        }
        Ok(())
    }

    /// Follows what is applied to where it counts, one place after another.
    fn settle(&mut self) {
        if self.settling.is_some() || self.resetting.is_some() || self.applied == self.acknowledged
        {
            return;
        }
        let upstream = self.upstream;
        self.settling = self.applied.clone().map(|cursor| Settling {
            cursor,
            everywhere: Box::pin(upstream.everywhere()),
        });
    }

    /// Says how far the changes count. What finds no room now goes with the next.
    fn acknowledge(
        &mut self,
        outgoing: &mpsc::Sender<WatchRequest>,
        cursor: Cursor,
    ) -> Result<(), End> {
        let position = Some(translate::to_wire(&cursor));
        if say(outgoing, Say::Acknowledge(Acknowledge { position }))? {
            self.acknowledged = Some(cursor);
        }
        Ok(())
    }

    async fn hear(&mut self, message: WatchResponse) -> Result<(), End> {
        match message.message.ok_or(NotUnderstood("kind of message"))? {
            Heard::Reset(_) => {
                let from = self
                    .upstream
                    .cursor()
                    .await
                    .map_err(|error| failed(&error))?;
                self.resetting = Some(Resetting { from });
            }
            Heard::Snapshot(part) => self.build(part).await?,
            Heard::Changes(changes) => {
                if self.resetting.is_some() {
                    return Err(NotUnderstood("changes within a snapshot").into());
                }
                let changes = changes.changes.into_iter().map(translate::change);
                let changes = changes.collect::<Result<Vec<_>, _>>()?;
                let last = changes.last().map(|placed| placed.cursor.clone());
                let applied = self.upstream.apply(changes).await;
                applied.map_err(|error| failed(&error))?;
                self.applied = last.or_else(|| self.applied.take());
            }
            // It may have been long on its way, so it says where the feed is and not how old that is.
            Heard::Checkpoint(checkpoint) => {
                self.see(checkpoint.position).await?;
            }
            Heard::Pong(pong) => {
                let asked_at = self.pings.answered(pong.nonce);
                let age = pong.age.and_then(|age| Duration::try_from(age).ok());
                if let (true, Some(asked_at), Some(age)) =
                    (self.see(pong.position).await?, asked_at, age)
                {
                    self.observe(asked_at, age);
                }
            }
            Heard::Goodbye(goodbye) => {
                let delay = goodbye.reconnect_delay;
                let delay = delay.and_then(|delay| delay.try_into().ok());
                return Err(End::Goodbye(delay.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// Takes a part of a snapshot. With the last one every user with a session is looked at, and only then is the place
    /// of the snapshot where this service stands.
    async fn build(&mut self, part: Snapshot) -> Result<(), End> {
        let Resetting { from } = self
            .resetting
            .clone()
            .ok_or(NotUnderstood("snapshot without a reset"))?;
        if part.position.is_none() {
            return Ok(());
        }
        let cursor = translate::cursor(part.position)?;
        let upstream = self.upstream;
        let taken = async {
            upstream.reconcile().await?;
            upstream.advance(from, cursor.clone()).await
        };
        taken.await.map_err(|error| failed(&error))?;
        self.resetting = None;
        self.applied = Some(cursor);
        tracing::info!("the feed of user-service is followed from a snapshot");
        Ok(())
    }

    /// Takes how far the feed is: everything that counts here has been sent, and applied by now. Whether anything can be
    /// said about that.
    async fn see(
        &mut self,
        position: Option<identity_proto::user::v1::ChangeCursor>,
    ) -> Result<bool, End> {
        if self.resetting.is_some() || position.is_none() {
            return Ok(false);
        }
        let Some(applied) = &self.applied else {
            return Ok(false);
        };
        let cursor = translate::cursor(position)?;
        if cursor.position.epoch != applied.position.epoch {
            return Err(NotUnderstood("position outside of the snapshot's epoch").into());
        }
        if cursor.position.revision > applied.position.revision {
            let from = Some(applied.clone());
            let advanced = self.upstream.advance(from, cursor.clone()).await;
            advanced.map_err(|error| failed(&error))?;
            self.applied = Some(cursor);
        }
        Ok(true)
    }

    /// The state is as old as the server said, and the whole time since it was asked.
    fn observe(&mut self, asked_at: Duration, age: Duration) {
        let Some(applied) = &self.applied else { return };
        let authority = &self.upstream.authority;
        let since = authority.clock.elapsed().saturating_sub(asked_at);
        let age = age.saturating_add(since);
        authority
            .state
            .observe_source(Source::User, applied.position.clone(), age);
        if !self.live {
            self.live = true;
            tracing::info!("the feed of user-service is followed");
        }
    }
}

/// Ends when what is settling counts everywhere, or that cannot be known now; never while nothing is.
async fn settled(settling: &mut Option<Settling<'_>>) -> Result<Cursor, Failed> {
    let Some(under_way) = settling.as_mut() else {
        return pending().await;
    };
    let everywhere = under_way.everywhere.as_mut().await;
    let cursor = under_way.cursor.clone();
    *settling = None;
    everywhere.map(|()| cursor)
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

/// Nothing was applied: the stream begins anew, from where the database is.
fn failed(error: &Failed) -> End {
    if !is_overtaken(error) {
        tracing::warn!(error = ?error, "a change of a user could not be applied yet");
    }
    End::Lost(Status::unavailable("the own side is not ready"))
}
