//! The change feed, as a watcher sees it.

use std::time::Duration;

use identity_kit::{entropy::SystemEntropy, id::new_id};
use identity_proto::user::v1::{
    self as wire, ChangeCursor, ChangeKind, WatchRequest, WatchResponse,
    change_feed_service_client::ChangeFeedServiceClient,
    watch_request::{Message as Say, Start},
    watch_response::{Message as Heard, Snapshot},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{SERVICE_KEY, World, with_key};

/// Longer than anything takes that is to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// One stream of the change feed.
pub(crate) struct Watcher {
    say: mpsc::Sender<WatchRequest>,
    stream: Streaming<WatchResponse>,
}

/// A start that is good.
pub(crate) fn start(cursor: Option<ChangeCursor>, kinds: &[ChangeKind]) -> Start {
    Start {
        cursor,
        max_staleness: prost_types::Duration::try_from(Duration::from_secs(5)).ok(),
        watcher_name: "test".to_owned(),
        watcher_id: new_id(&SystemEntropy),
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
    }
}

impl Watcher {
    pub(crate) async fn of(world: &World, start: Start) -> Result<Self, Status> {
        Self::begin(world, Say::Start(start), SERVICE_KEY).await
    }

    pub(crate) async fn begin(world: &World, first: Say, key: &str) -> Result<Self, Status> {
        let (say, requests) = mpsc::channel(8);
        let first = WatchRequest {
            message: Some(first),
        };
        say.send(first).await.unwrap();
        let stream = ChangeFeedServiceClient::new(world.internal())
            .watch(with_key(ReceiverStream::new(requests), key))
            .await?
            .into_inner();
        Ok(Self { say, stream })
    }

    pub(crate) async fn say(&self, message: Say) {
        let message = Some(message);
        self.say.send(WatchRequest { message }).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Result<Heard, Status> {
        let message = timeout(PATIENCE, self.stream.message()).await.unwrap()?;
        Ok(message.expect("the stream goes on").message.unwrap())
    }

    /// The next message that is no checkpoint.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match self.next().await.unwrap() {
                Heard::Checkpoint(_) => {}
                other => return other,
            }
        }
    }

    /// A whole snapshot, behind a reset.
    pub(crate) async fn hear_snapshot(&mut self) -> Snapshot {
        assert!(matches!(self.hear().await, Heard::Reset(_)));
        let mut whole = Snapshot::default();
        while whole.position.is_none() {
            match self.hear().await {
                Heard::Snapshot(part) => {
                    whole.roles.extend(part.roles);
                    whole.subjects.extend(part.subjects);
                    whole.floor_revision = part.floor_revision;
                    whole.position = part.position;
                }
                other => panic!("no snapshot: {other:?}"),
            }
        }
        whole
    }

    /// Changes until there are so many.
    pub(crate) async fn hear_changes(&mut self, count: usize) -> Vec<wire::Change> {
        let mut changes = Vec::new();
        while changes.len() < count {
            match self.hear().await {
                Heard::Changes(more) => changes.extend(more.changes),
                other => panic!("no changes: {other:?}"),
            }
        }
        assert_eq!(changes.len(), count, "{changes:?}");
        changes
    }
}
