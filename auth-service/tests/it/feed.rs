//! The access feed, as a watcher sees it.

use std::{collections::BTreeSet, time::Duration};

use identity_guard::{clock::Clock as _, status::ErrorReason};
use identity_kit::{database::StoreError, entropy::SystemEntropy, id::new_id};
use identity_proto::auth::v1::{
    FeedCursor, WatchRequest, WatchResponse,
    access_change::Change,
    watch_request::{Message as Say, Ping, Start},
    watch_response::Message as Heard,
};
use sea_orm::ConnectionTrait as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::{ADA, Service, as_service, refused, worlds};

pub(crate) struct Watcher {
    say: mpsc::Sender<WatchRequest>,
    stream: Streaming<WatchResponse>,
}

impl Watcher {
    pub(crate) async fn start(
        service: &Service,
        cursor: Option<FeedCursor>,
    ) -> Result<Self, Status> {
        let start = Say::Start(Start {
            cursor,
            max_staleness: Some(prost_types::Duration {
                seconds: 5,
                nanos: 0,
            }),
            watcher_name: "test".to_owned(),
            watcher_id: new_id(&SystemEntropy),
        });
        Self::begin(service, start).await
    }

    async fn begin(service: &Service, first: Say) -> Result<Self, Status> {
        let (say, requests) = mpsc::channel(8);
        say.send(WatchRequest {
            message: Some(first),
        })
        .await
        .unwrap();
        let request = as_service(ReceiverStream::new(requests));
        let stream = service.feed().watch(request).await?.into_inner();
        Ok(Self { say, stream })
    }

    /// The next message that is no checkpoint.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let message = self
                .stream
                .message()
                .await
                .unwrap()
                .expect("the stream goes on");
            match message.message.unwrap() {
                Heard::Checkpoint(_) => {}
                other => return other,
            }
        }
    }

    /// The cursor of a snapshot of one part, behind a reset.
    pub(crate) async fn hear_snapshot(&mut self) -> FeedCursor {
        assert!(matches!(self.hear().await, Heard::Reset(_)));
        match self.hear().await {
            Heard::Snapshot(snapshot) => {
                assert_eq!(snapshot.signing_keys.len(), 1);
                assert_eq!(snapshot.issuer, "http://127.0.0.1:50061");
                snapshot.position.expect("one part is the last one")
            }
            other => panic!("no snapshot: {other:?}"),
        }
    }

    /// The session of a change, and its cursor.
    pub(crate) async fn hear_revoked(&mut self) -> (String, FeedCursor) {
        let Heard::Changes(changes) = self.hear().await else {
            panic!("no changes");
        };
        let change = changes.changes.into_iter().next().unwrap();
        match change.change {
            Some(Change::SessionRevoked(revoked)) => (revoked.session_id, change.position.unwrap()),
            other => panic!("another change: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_gets_a_snapshot_then_changes_and_resumes_from_its_cursor() {
    for world in worlds().await {
        let service = world.start().await;
        let mut watcher = Watcher::start(&service, None).await.unwrap();
        watcher.hear_snapshot().await;
        let first = service.login("ada").await;
        let second = service.login("ada").await;
        service.logout(&first.access_token).await.unwrap();
        let (revoked, cursor) = watcher.hear_revoked().await;
        assert_eq!(revoked, first.session_id);
        assert!(!cursor.nonce.is_empty());
        drop(watcher);

        service.logout(&second.access_token).await.unwrap();
        let mut watcher = Watcher::start(&service, Some(cursor.clone()))
            .await
            .unwrap();
        let (revoked, next) = watcher.hear_revoked().await;
        assert_eq!(revoked, second.session_id);
        assert_eq!(next.revision, cursor.revision + 1);
        drop(watcher);
        service.stop().await;

        let service = world.start().await;
        let mut watcher = Watcher::start(&service, Some(cursor)).await.unwrap();
        assert_eq!(
            watcher.hear_revoked().await.1,
            next,
            "resumed at another process"
        );
        drop(watcher);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_many_parts_arrives_whole() {
    /// More than two parts of five hundred.
    const ENDED: i64 = 1_203;
    for world in worlds().await {
        let now = world.clock.now();
        let later = now.plus(Duration::from_hours(1)).as_micros();
        let sql = format!(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {ENDED}) \
             INSERT INTO sessions (id, user_id, client_id, ip_address, user_agent, generation, amr, \
             authenticated_at, created_at, refreshed_at, idle_expires_at, expires_at, token_expires_at, \
             ended_at, current_token_id, due_at) \
             SELECT 'ended' || n, '{ADA}', '', '', '', 0, '[]', {now}, {now}, {now}, {later}, {later}, {later}, \
             {now}, '', {later} FROM number",
            now = now.as_micros(),
        );
        world
            .database
            .write(move |transaction| {
                let sql = sql.clone();
                Box::pin(async move {
                    transaction.execute_unprepared(&sql).await?;
                    Ok::<_, StoreError>(())
                })
            })
            .await
            .unwrap();
        let service = world.start().await;
        let mut watcher = Watcher::start(&service, None).await.unwrap();
        assert!(matches!(watcher.hear().await, Heard::Reset(_)));
        let (mut sessions, mut parts) = (BTreeSet::new(), 0);
        loop {
            let Heard::Snapshot(part) = watcher.hear().await else {
                panic!("no snapshot");
            };
            parts += 1;
            sessions.extend(part.sessions.into_iter().map(|ended| ended.session_id));
            if part.position.is_some() {
                assert_eq!(part.signing_keys.len(), 1);
                break;
            }
            assert!(part.signing_keys.is_empty());
        }
        assert_eq!(parts, 4);
        let all = (1..=ENDED).map(|number| format!("ended{number}"));
        assert_eq!(sessions, all.collect());
        drop(watcher);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_history_means_a_reset() {
    for world in worlds().await {
        let service = world.start().await;
        let mut watcher = Watcher::start(&service, None).await.unwrap();
        let own = watcher.hear_snapshot().await;
        let foreign = [
            FeedCursor {
                nonce: "another".to_owned(),
                ..own.clone()
            },
            FeedCursor {
                epoch: "another".to_owned(),
                ..own.clone()
            },
            FeedCursor {
                revision: own.revision + 7,
                ..own.clone()
            },
        ];
        for cursor in foreign {
            let mut watcher = Watcher::start(&service, Some(cursor)).await.unwrap();
            watcher.hear_snapshot().await;
        }
        drop(watcher);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_with_what_was_sent_and_its_age() {
    for world in worlds().await {
        let service = world.start().await;
        let mut watcher = Watcher::start(&service, None).await.unwrap();
        let cursor = watcher.hear_snapshot().await;
        let ping = WatchRequest {
            message: Some(Say::Ping(Ping { nonce: 42 })),
        };
        watcher.say.send(ping).await.unwrap();
        let Heard::Pong(answer) = watcher.hear().await else {
            panic!("no pong");
        };
        assert_eq!(answer.nonce, 42);
        assert_eq!(answer.sources.len(), 1);
        assert_eq!(answer.sources[0].position.as_ref(), Some(&cursor));
        assert!(answer.sources[0].age.is_some());
        drop(watcher);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_service_identity_watches_and_start_comes_first() {
    for world in worlds().await {
        let service = world.start().await;
        let (_say, requests) = mpsc::channel(1);
        let stranger = Request::new(ReceiverStream::new(requests));
        let answer = service.feed().watch(stranger).await;
        refused(
            answer,
            Code::Unauthenticated,
            ErrorReason::ServiceIdentityRequired,
        );

        for first in [
            Say::Ping(Ping { nonce: 1 }),
            Say::Start(Start {
                watcher_name: "No!".to_owned(),
                ..Start::default()
            }),
        ] {
            let mut watcher = Watcher::begin(&service, first).await.unwrap();
            let answer = watcher.stream.message().await;
            refused(answer, Code::InvalidArgument, ErrorReason::InvalidFields);
        }
        service.stop().await;
    }
}
