//! The tail: events in order, repeated after a failure, begun anew on another history.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use identity_kit::{
    clock::SystemClock,
    database::StoreError,
    outbox::{NotReached, StoredEvent, Tail, TailHandler},
    position::Position,
    testing::TestDatabase,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::schema::{create, each, run};

struct Recorder {
    seen: Mutex<Vec<u64>>,
    fails: AtomicBool,
    failures: AtomicU32,
    resets: watch::Sender<u32>,
    fresh: watch::Sender<Option<(Position, Duration)>>,
}

impl Recorder {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            fails: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            resets: watch::Sender::new(0),
            fresh: watch::Sender::new(None),
        })
    }

    fn seen(&self) -> Vec<u64> {
        self.seen.lock().unwrap().clone()
    }
}

#[tonic::async_trait]
impl TailHandler for Recorder {
    async fn apply(&self, events: &[StoredEvent]) -> Result<(), StoreError> {
        if self.fails.swap(false, Ordering::SeqCst) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Conflict);
        }
        self.seen
            .lock()
            .unwrap()
            .extend(events.iter().map(|event| event.position.revision));
        Ok(())
    }

    fn fresh(&self, position: &Position, at: Duration) {
        self.fresh.send_replace(Some((position.clone(), at)));
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.resets.send_modify(|count| *count += 1);
        Ok(())
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn start(database: &TestDatabase, recorder: &Arc<Recorder>) -> (Tail, CancellationToken) {
    let cancel = CancellationToken::new();
    let (tail, _task) = Tail::spawn(
        database,
        Arc::new(SystemClock),
        cancel.clone(),
        recorder.clone(),
    );
    (tail, cancel)
}

async fn first_reset(tail: &Tail) {
    tail.applied()
        .wait_for(|at| !at.epoch.is_empty())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tail_takes_every_event_of_sixteen_writers_once_and_in_order() {
    for database in each().await {
        let recorder = Recorder::new();
        let (tail, cancel) = start(&database, &recorder);
        first_reset(&tail).await;
        let writers = (0..16).map(|writer| {
            let database = database.database().clone();
            tokio::spawn(async move {
                let mut last = None;
                for number in 0..20 {
                    last = create(&database, &format!("{writer}-{number}"))
                        .await
                        .unwrap()
                        .position;
                }
                last.unwrap()
            })
        });
        for writer in futures_util::future::join_all(writers).await {
            tail.wait_for(&writer.unwrap(), soon()).await.unwrap();
        }
        assert_eq!(recorder.seen(), (1..=320).collect::<Vec<_>>());
        assert_eq!(*recorder.resets.borrow(), 1);
        cancel.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_another_process_are_found() {
    for database in each().await {
        let recorder = Recorder::new();
        let (tail, _cancel) = start(&database, &recorder);
        first_reset(&tail).await;
        let other = database
            .connect(
                Arc::new(SystemClock),
                Arc::new(identity_kit::entropy::SystemEntropy),
            )
            .await;
        let position = create(&other, "a").await.unwrap().position.unwrap();
        tail.wait_for(&position, soon()).await.unwrap();
        assert_eq!(recorder.seen(), [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_could_not_be_applied_are_given_again() {
    for database in each().await {
        let recorder = Recorder::new();
        let (tail, _cancel) = start(&database, &recorder);
        first_reset(&tail).await;
        recorder.fails.store(true, Ordering::SeqCst);
        let position = create(&database, "a").await.unwrap().position.unwrap();
        tail.wait_for(&position, soon()).await.unwrap();
        assert_eq!(recorder.seen(), [1]);
        assert_eq!(recorder.failures.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn freshness_is_told_also_when_nothing_happens() {
    for database in each().await {
        let recorder = Recorder::new();
        let (_tail, _cancel) = start(&database, &recorder);
        let mut fresh = recorder.fresh.subscribe();
        let first = fresh
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone()
            .unwrap();
        let later = fresh
            .wait_for(|mark| mark.as_ref().is_some_and(|(_, at)| *at > first.1))
            .await
            .unwrap()
            .clone()
            .unwrap();
        assert_eq!(later.0, first.0);
        assert_eq!(recorder.seen(), Vec::<u64>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_copy_makes_the_tail_begin_anew() {
    for database in each().await {
        for id in ["a", "b", "c"] {
            create(&database, id).await.unwrap();
        }
        let recorder = Recorder::new();
        let (tail, _cancel) = start(&database, &recorder);
        first_reset(&tail).await;
        database
            .write(|transaction| {
                Box::pin(async move {
                    run(
                        transaction,
                        "DELETE FROM feed_event WHERE revision > 1",
                        &[],
                    )
                    .await?;
                    run(transaction, "UPDATE feed_head SET revision = 1", &[]).await
                })
            })
            .await
            .unwrap();
        recorder
            .resets
            .subscribe()
            .wait_for(|count| *count == 2)
            .await
            .unwrap();
        tail.applied()
            .wait_for(|at| at.revision == 1)
            .await
            .unwrap();
        let position = create(&database, "d").await.unwrap().position.unwrap();
        assert_eq!(position.revision, 2);
        tail.wait_for(&position, soon()).await.unwrap();
        assert_eq!(recorder.seen(), [2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_for_a_position_that_cannot_come() {
    for database in each().await {
        let recorder = Recorder::new();
        let (tail, cancel) = start(&database, &recorder);
        first_reset(&tail).await;
        let epoch = tail.applied().borrow().epoch.clone();
        let other = tail.wait_for(&Position::new("other", 1), soon()).await;
        assert_eq!(other, Err(NotReached::OtherEpoch));
        let late = tail
            .wait_for(&Position::new(epoch.clone(), 1), Instant::now())
            .await;
        assert_eq!(late, Err(NotReached::Late));
        cancel.cancel();
        let ended = tail.wait_for(&Position::new(epoch, 1), soon()).await;
        assert_eq!(ended, Err(NotReached::Ended));
    }
}
