//! One watcher: from its Start to its end, in step with the memory.

use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};

use futures_util::Stream;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    heard::Heard,
    history::{History, Ledger, Missing, Placed, Standpoint},
    watchers::{Membership, Standing, Watchers},
};
use crate::{
    clock::SharedClock,
    database::Database,
    outbox::{self, Cursor, Read},
    status::{ErrorReason, Failure},
};

/// Messages on their way to one watcher, each of one part at most. A slow one holds no more than this; what it misses
/// waits in shared memory.
const OUTGOING: usize = 4;
/// Between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How long a watcher may take to begin, and to take a message, before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a watcher waits at least after a goodbye.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// The words of a feed's contract.
pub trait Protocol: Send + Sync + 'static {
    /// What a snapshot tells.
    type Ledger: Ledger;
    /// What a watcher sends.
    type Request: Send + 'static;
    /// What it is sent.
    type Response: Send + 'static;
    /// Which changes a watcher asked for.
    type Wanted: Send + Sync + 'static;
    /// How far a snapshot has been sent.
    type Place: Send + 'static;

    /// Reads a message.
    ///
    /// # Errors
    ///
    /// `INVALID_FIELDS` with everything that is wrong with a Start.
    fn hear(&self, request: Self::Request) -> Result<Heard<Self::Wanted>, Failure>;

    /// The part of a snapshot after a place, of at most [`PART`](super::PART) entries; `None` after the last. What
    /// comes while parts are sent may stand in them or not: its change follows.
    fn part(
        &self,
        ledger: &Self::Ledger,
        after: Option<Self::Place>,
    ) -> Option<(Self::Place, Self::Response)>;

    /// The end of a snapshot, with its position.
    fn last_part(&self, ledger: &Self::Ledger, cursor: &Cursor) -> Self::Response;

    /// Those of the changes that are wanted; `None` when there are none.
    fn changes(
        &self,
        wanted: &Self::Wanted,
        changes: &[Placed<<Self::Ledger as Ledger>::Change>],
    ) -> Option<Self::Response>;

    /// Everything follows.
    fn reset(&self) -> Self::Response;

    /// How new the feed is; `None` before it was ever proven.
    fn checkpoint(&self, freshness: Option<Freshness<'_>>) -> Self::Response;

    /// The answer to a ping.
    fn pong(&self, nonce: u64, freshness: Option<Freshness<'_>>) -> Self::Response;

    /// The end of the stream, with the least time to wait.
    fn goodbye(&self, delay: Duration) -> Self::Response;
}

/// How new what was sent is.
#[derive(Clone, Copy, Debug)]
pub struct Freshness<'a> {
    /// Everything up to here was sent.
    pub cursor: &'a Cursor,
    /// How old the newest proof is that this is everything.
    pub age: Duration,
}

/// What watchers are served from.
pub struct Source<P: Protocol> {
    /// The words.
    pub protocol: Arc<P>,
    /// The feed in memory.
    pub history: Arc<History<P::Ledger>>,
    /// Everybody who decides by this feed.
    pub watchers: Watchers,
    /// The database, where the cursor of a watcher that comes back is looked up.
    pub database: Database,
    /// Time.
    pub clock: SharedClock,
    /// Cancelled when streams have to end.
    pub draining: CancellationToken,
}

impl<P: Protocol> Clone for Source<P> {
    fn clone(&self) -> Self {
        Self {
            protocol: Arc::clone(&self.protocol),
            history: Arc::clone(&self.history),
            watchers: self.watchers.clone(),
            database: self.database.clone(),
            clock: Arc::clone(&self.clock),
            draining: self.draining.clone(),
        }
    }
}

/// A stream of answers.
pub type Answers<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// Serves one watcher, in a task of its own, for as long as it takes the answers.
#[must_use]
pub fn serve<P: Protocol>(
    source: &Source<P>,
    incoming: Streaming<P::Request>,
) -> Answers<P::Response> {
    let (outgoing, answers) = mpsc::channel(OUTGOING);
    let watch = Watch {
        source: source.clone(),
        incoming,
        outgoing,
        standpoint: None,
        fresh_at: None,
        asked: None,
    };
    tokio::spawn(watch.run());
    Box::pin(ReceiverStream::new(answers))
}

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

struct Watch<P: Protocol> {
    source: Source<P>,
    incoming: Streaming<P::Request>,
    outgoing: mpsc::Sender<Result<P::Response, Status>>,
    /// Where the watcher stands when it has all that was sent; none before the snapshot.
    standpoint: Option<Standpoint>,
    /// When all that was sent was proven to be everything.
    fresh_at: Option<Duration>,
    /// The newest ping that waits for its pong.
    asked: Option<u64>,
}

impl<P: Protocol> Watch<P> {
    async fn run(mut self) {
        let draining = self.source.draining.clone();
        let end = tokio::select! {
            end = self.serve() => end,
            () = draining.cancelled() => End::Draining,
        };
        let last = match end {
            End::Left => return,
            End::Draining => Ok(self.source.protocol.goodbye(RECONNECT_DELAY)),
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

    async fn follow(&mut self) -> Result<Infallible, End> {
        let mut changed = self.source.history.changes();
        let (membership, wanted) = self.begin().await?;
        let mut checkpoints = interval(CHECKPOINT_EVERY);
        checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            changed.mark_unchanged();
            self.catch_up(&wanted).await?;
            self.answer(&membership).await?;
            tokio::select! {
                woken = changed.changed() => woken.map_err(|_| End::Draining)?,
                () = membership.changed() => {}
                heard = self.incoming.message() => match heard.map_err(|_| End::Left)? {
                    None => return Err(End::Left),
                    Some(request) => self.hear(request, &membership)?,
                },
                _ = checkpoints.tick() => {
                    self.catch_up(&wanted).await?;
                    self.send(self.source.protocol.checkpoint(self.freshness())).await?;
                }
            }
        }
    }

    /// Hears the Start, and takes its cursor where it is one of this database's own.
    async fn begin(&mut self) -> Result<(Membership, P::Wanted), End> {
        let first = timeout(PATIENCE, self.incoming.message())
            .await
            .map_err(|_| End::Left)?
            .map_err(|_| End::Left)?
            .ok_or(End::Left)?;
        let Heard::Start(start) = self.source.protocol.hear(first)? else {
            return Err(Failure::invalid_fields([("start", "must be the first message")]).into());
        };
        if let Some(cursor) = start.cursor
            && self.is_own(&cursor).await?
        {
            let history = self.loaded().await?;
            self.standpoint = Some(Standpoint { history, cursor });
        }
        let resumed = self.standpoint.is_some();
        tracing::info!(watcher = start.name, resumed, "watching the feed");
        let watchers = &self.source.watchers;
        let membership = watchers.join(start.id, start.name, start.max_staleness);
        Ok((membership, start.wanted))
    }

    /// The history that is served, once there is one: a watcher that comes back while this process starts has missed
    /// nothing.
    async fn loaded(&self) -> Result<u64, End> {
        let mut changed = self.source.history.changes();
        loop {
            changed.mark_unchanged();
            if let Some(now) = self.source.history.standpoint() {
                return Ok(now.history);
            }
            let woken = timeout(PATIENCE, changed.changed()).await;
            woken.map_err(|_| End::Left)?.map_err(|_| End::Draining)?;
        }
    }

    /// Whether the row at a cursor is the one that the watcher saw. A restored or copied database has another.
    async fn is_own(&self, cursor: &Cursor) -> Result<bool, End> {
        match outbox::read(self.source.database.reader(), cursor, 1).await {
            Ok(Read::Events { .. }) => Ok(true),
            Ok(Read::Reset) => Ok(false),
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    fn hear(&mut self, request: P::Request, membership: &Membership) -> Result<(), End> {
        match self.source.protocol.hear(request)? {
            // What comes after it is read after it was: what its pong proves is newer than its sending.
            Heard::Ping(nonce) => self.asked = Some(nonce),
            Heard::Acknowledge(cursor) => {
                if let Some(cursor) = cursor {
                    membership.acknowledge(cursor);
                }
            }
            Heard::Start(_) => {
                return Err(Failure::invalid_fields([(
                    "start",
                    "must be the first message alone",
                )])
                .into());
            }
            Heard::Unknown => {}
        }
        Ok(())
    }

    /// Answers the newest ping once the watcher stands in the table, and has what was committed before it did. It has
    /// been sent everything that is known here, since the ping was read.
    async fn answer(&mut self, membership: &Membership) -> Result<(), End> {
        let Some(nonce) = self.asked else {
            return Ok(());
        };
        let Standing::After(position) = membership.standing() else {
            return Ok(());
        };
        let has = self.standpoint.as_ref().map(|at| &at.cursor.position);
        if has.is_some_and(|at| at.reaches(&position)) {
            self.asked = None;
            let pong = self.source.protocol.pong(nonce, self.freshness());
            self.send(pong).await?;
        }
        Ok(())
    }

    /// Sends what the watcher has not, part after part: no more of it waits here than the channel holds.
    async fn catch_up(&mut self, wanted: &P::Wanted) -> Result<(), End> {
        // Before the memory is loaded there is nothing to say.
        while let Some(view) = self.source.history.view(self.standpoint.as_ref()) {
            let mut left_out = false;
            let is_everything = match view.missing {
                Missing::Changes { changes, all } => {
                    if !changes.is_empty() {
                        match self.source.protocol.changes(wanted, &changes) {
                            Some(message) => self.send(message).await?,
                            None => left_out = true,
                        }
                    }
                    all
                }
                Missing::Everything => self.send_everything(&view.standpoint).await?,
            };
            self.standpoint = Some(view.standpoint);
            if is_everything {
                self.fresh_at = view.fresh_at;
                if left_out {
                    // It cannot see otherwise how far it is.
                    self.send(self.source.protocol.checkpoint(self.freshness()))
                        .await?;
                }
                break;
            }
        }
        Ok(())
    }

    /// Sends a snapshot; false when another history began meanwhile, and nobody can stand where this one was.
    async fn send_everything(&mut self, standpoint: &Standpoint) -> Result<bool, End> {
        let source = self.source.clone();
        let (protocol, history) = (&source.protocol, Some(standpoint.history));
        self.send(protocol.reset()).await?;
        let mut place = None;
        loop {
            let after = place.take();
            let Some(part) = source
                .history
                .look(history, |ledger| protocol.part(ledger, after))
            else {
                return Ok(false);
            };
            let Some((next, message)) = part else { break };
            place = Some(next);
            self.send(message).await?;
        }
        let last = source.history.look(history, |ledger| {
            protocol.last_part(ledger, &standpoint.cursor)
        });
        let Some(last) = last else { return Ok(false) };
        self.send(last).await?;
        Ok(true)
    }

    /// What was sent, as old as it is now; nothing where it was never proven to be everything.
    fn freshness(&self) -> Option<Freshness<'_>> {
        let standpoint = self.standpoint.as_ref()?;
        Some(Freshness {
            cursor: &standpoint.cursor,
            age: self.source.clock.elapsed().saturating_sub(self.fresh_at?),
        })
    }

    /// A watcher that takes nothing for long is given up; it comes back with its cursor.
    async fn send(&self, message: P::Response) -> Result<(), End> {
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
