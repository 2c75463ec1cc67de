//! A watcher that keeps what it hears, falls off its stream now and then, and goes on from its cursor.

use std::{collections::BTreeMap, time::Duration};

use identity_proto::user::v1::{
    Change, ChangeCursor, UserStatus, WatchRequest, WatchResponse,
    change::Change as Kind,
    change_feed_service_client::ChangeFeedServiceClient,
    watch_request::{Message as Say, Start},
    watch_response::Message,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, transport::Channel};

use crate::harness::raw;

/// How long a stream may say nothing.
const SILENCE: Duration = Duration::from_secs(10);
/// Before another try.
const PAUSE: Duration = Duration::from_millis(30);
/// After how many messages a watcher falls off its stream by itself.
const MESSAGES: usize = 40;

/// One stream.
pub(super) struct Ear {
    stream: Streaming<WatchResponse>,
    /// What came with others and has not been given yet.
    waiting: Vec<Change>,
    /// Kept open: its end would be the end of the stream.
    _say: mpsc::Sender<WatchRequest>,
}

impl Ear {
    pub(super) async fn open(
        channel: &Channel,
        key: &str,
        cursor: Option<ChangeCursor>,
    ) -> Result<Self, Status> {
        let (say, requests) = mpsc::channel(4);
        let start = Say::Start(Start {
            cursor,
            max_staleness: Some(Duration::from_secs(5).try_into().unwrap()),
            watcher_name: "fire".to_owned(),
            watcher_id: identity_dev::private_file::random_hex().unwrap(),
            ..Start::default()
        });
        let message = Some(start);
        say.send(WatchRequest { message }).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(requests));
        *request.metadata_mut() = raw::service_key(key);
        let stream = ChangeFeedServiceClient::new(channel.clone())
            .watch(request)
            .await?
            .into_inner();
        Ok(Self {
            stream,
            waiting: Vec::new(),
            _say: say,
        })
    }

    async fn message(&mut self) -> Result<Message, Status> {
        let silent = |_| Status::unavailable("silent");
        let message = timeout(SILENCE, self.stream.message()).await;
        let message = message.map_err(silent)??;
        let message = message.ok_or_else(|| Status::unavailable("ended"))?;
        Ok(message.message.unwrap())
    }

    /// The next changes.
    pub(super) async fn changes(&mut self) -> Result<Vec<Change>, Status> {
        loop {
            match self.message().await? {
                Message::Changes(changes) => return Ok(changes.changes),
                Message::Checkpoint(_) => {}
                other => panic!("no changes: {other:?}"),
            }
        }
    }

    /// The next change alone.
    pub(super) async fn change(&mut self) -> Result<Change, Status> {
        while self.waiting.is_empty() {
            self.waiting = self.changes().await?;
            self.waiting.reverse();
        }
        Ok(self.waiting.pop().unwrap())
    }

    /// The place of a snapshot, which comes first.
    pub(super) async fn snapshot_revision(&mut self) -> u64 {
        self.is_reset().await;
        loop {
            if let Message::Snapshot(part) = self.message().await.unwrap()
                && let Some(position) = part.position
            {
                return position.revision;
            }
        }
    }

    /// The cursor was not believed.
    pub(super) async fn is_reset(&mut self) {
        loop {
            match self.message().await.unwrap() {
                Message::Checkpoint(_) => {}
                Message::Reset(_) => return,
                other => panic!("no reset: {other:?}"),
            }
        }
    }
}

/// What a watcher has heard.
#[derive(Clone, Default)]
pub(super) struct Heard {
    /// Who is there, and whether they may use the system.
    pub(super) users: BTreeMap<String, UserStatus>,
    pub(super) changes: usize,
    pub(super) streams: usize,
}

/// A watcher on its own.
pub(super) struct Watcher {
    heard: watch::Receiver<Option<Heard>>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Follows from now on, at one of these after another. One that is not `faithful` also leaves by itself.
    pub(super) fn start(channels: Vec<Channel>, key: String, faithful: bool) -> Self {
        let (tell, heard) = watch::channel(None);
        let follower = Follower {
            channels,
            key,
            faithful,
            cursor: None,
            heard: Heard::default(),
            tell,
        };
        Self {
            heard,
            task: tokio::spawn(follower.run()),
        }
    }

    /// Waits until it follows.
    pub(super) async fn is_on(&self) {
        let mut heard = self.heard.clone();
        let on = heard.wait_for(Option::is_some);
        timeout(super::PATIENCE, on).await.unwrap().unwrap();
    }

    /// Ends with what it has heard when it has heard of this user.
    pub(super) async fn until_created(mut self, user_id: &str) -> Heard {
        let heard = self.heard.wait_for(|heard| {
            heard
                .as_ref()
                .is_some_and(|heard| heard.users.contains_key(user_id))
        });
        let heard = timeout(super::PATIENCE, heard).await.unwrap();
        let heard = match heard {
            Ok(heard) => heard.clone().unwrap(),
            // It has panicked: that is what has to be seen.
            Err(_) => std::panic::resume_unwind(self.task.await.unwrap_err().into_panic()),
        };
        self.task.abort();
        heard
    }
}

struct Follower {
    channels: Vec<Channel>,
    key: String,
    faithful: bool,
    cursor: Option<ChangeCursor>,
    heard: Heard,
    tell: watch::Sender<Option<Heard>>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let channel = self.channels[self.heard.streams % self.channels.len()].clone();
            self.heard.streams += 1;
            if let Ok(ear) = Ear::open(&channel, &self.key, self.cursor.clone()).await {
                // Its processes are killed, so streams break.
                let _ = self.follow(ear).await;
            }
            sleep(PAUSE).await;
        }
    }

    async fn follow(&mut self, mut ear: Ear) -> Result<(), Status> {
        for count in 0_usize.. {
            if !self.faithful && count == MESSAGES {
                break;
            }
            match ear.message().await? {
                Message::Reset(_) => {
                    assert!(self.cursor.is_none(), "the history is the same");
                }
                Message::Snapshot(part) => self.cursor = part.position.or(self.cursor.take()),
                Message::Changes(changes) => {
                    for change in changes.changes {
                        self.take(&change);
                    }
                }
                Message::Goodbye(_) => break,
                Message::Checkpoint(_) | Message::Pong(_) => {}
            }
            if self.cursor.is_some() {
                self.tell.send_replace(Some(self.heard.clone()));
            }
        }
        Ok(())
    }

    fn take(&mut self, change: &Change) {
        let cursor = change.position.clone().unwrap();
        let last = self.cursor.as_ref().unwrap().revision;
        assert_eq!(cursor.revision, last + 1, "in order and without a gap");
        self.cursor = Some(cursor);
        self.heard.changes += 1;
        let users = &mut self.heard.users;
        match change.change.as_ref().unwrap() {
            Kind::UserCreated(created) => {
                let known = users.insert(created.user_id.clone(), UserStatus::Active);
                assert!(known.is_none(), "an id lives once");
            }
            Kind::UserStatusChanged(changed) => {
                let status = users.get_mut(&changed.user_id).expect("created before");
                *status = changed.status();
            }
            Kind::UserDeleted(deleted) => {
                users.remove(&deleted.user_id).expect("created before");
            }
            _ => {}
        }
    }
}
