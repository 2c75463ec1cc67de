//! Waiting until a change counts wherever decisions are made.

use std::{future::Future, time::Duration};

use identity_guard::ErrorReason;
use identity_proto::user::v1::{
    self as wire, ChangeCursor,
    watch_request::{Acknowledge, Message as Say, Ping, Start},
    watch_response::{Message as Heard, Pong},
};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tokio::time::timeout;

use crate::harness::{Watcher, World, reason, start, violated};

/// Long enough for everything that is to come of itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to see that something does not come.
const WHILE: Duration = Duration::from_millis(300);

/// A watcher who decides: it has been answered.
async fn decider(world: &World, start: Start) -> Watcher {
    let mut watcher = Watcher::of(world, start).await.unwrap();
    watcher.hear_snapshot().await;
    pong(&mut watcher).await;
    watcher
}

async fn pong(watcher: &mut Watcher) -> Pong {
    watcher.say(Say::Ping(Ping { nonce: 7 })).await;
    loop {
        match watcher.hear().await {
            Heard::Pong(pong) => return pong,
            Heard::Changes(_) => {}
            other => panic!("no pong: {other:?}"),
        }
    }
}

async fn acknowledge(watcher: &Watcher, position: ChangeCursor) {
    let position = Some(position);
    watcher
        .say(Say::Acknowledge(Acknowledge { position }))
        .await;
}

/// A change, its revision and its place.
async fn change(world: &World, watcher: &mut Watcher) -> (String, ChangeCursor) {
    let user = world.person().await;
    let revision = world.suspend(&user.id).await.unwrap().revision;
    let heard = watcher.hear_changes(2).await;
    (revision, heard[1].position.clone().unwrap())
}

fn asked(world: &World, revision: &str) -> tonic::Request<wire::AwaitRevisionRequest> {
    world.by_admin(wire::AwaitRevisionRequest {
        revision: revision.to_owned(),
    })
}

async fn counts(
    waiting: impl Future<Output = Result<tonic::Response<wire::AwaitRevisionResponse>, tonic::Status>>,
) -> (i32, i32) {
    let answer = timeout(PATIENCE, waiting).await.expect("ends").unwrap();
    let answer = answer.into_inner();
    (answer.acknowledged_count, answer.lapsed_count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_counts_when_every_watcher_has_acknowledged_it() {
    for world in World::all().await {
        let mut first = decider(&world, start(None, &[])).await;
        let second = decider(&world, start(None, &[])).await;
        let (revision, cursor) = change(&world, &mut first).await;
        let mut client = world.revisions();
        let waiting = client.await_revision(asked(&world, &revision));
        tokio::pin!(waiting);
        assert!(timeout(WHILE, &mut waiting).await.is_err());
        acknowledge(&first, cursor.clone()).await;
        assert!(
            timeout(WHILE, &mut waiting).await.is_err(),
            "the other one may still decide without it"
        );
        acknowledge(&second, cursor).await;
        assert_eq!(counts(waiting).await, (2, 0));
        drop((first, second));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watchers_a_revision_counts_at_once() {
    for world in World::all().await {
        let user = world.person().await;
        let revision = world.suspend(&user.id).await.unwrap().revision;
        let mut client = world.revisions();
        assert_eq!(
            counts(client.await_revision(asked(&world, &revision))).await,
            (0, 0)
        );
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_watcher_is_waited_for_until_it_cannot_decide_any_more() {
    for world in World::all().await {
        let short = Start {
            max_staleness: prost_types::Duration::try_from(Duration::from_millis(100)).ok(),
            ..start(None, &[])
        };
        let mut silent = decider(&world, short).await;
        let (revision, _) = change(&world, &mut silent).await;
        let mut client = world.revisions();
        let waiting = client.await_revision(asked(&world, &revision));
        tokio::pin!(waiting);
        assert!(timeout(WHILE, &mut waiting).await.is_err());
        // Leaving is no proof that it decides nothing any more.
        drop(silent);
        assert!(timeout(WHILE, &mut waiting).await.is_err());
        assert_eq!(counts(waiting).await, (0, 1));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_stands_in_the_table_before_it_is_answered() {
    for world in World::all().await {
        let count = async || {
            let reader = world.app.store().database().reader();
            let statement = Statement::from_string(
                reader.get_database_backend(),
                "SELECT COUNT(*) AS count FROM feed_watcher",
            );
            let row = reader.query_one_raw(statement).await.unwrap().unwrap();
            row.try_get::<i64>("", "count").unwrap()
        };
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        watcher.hear_snapshot().await;
        assert_eq!(count().await, 0);
        pong(&mut watcher).await;
        assert_eq!(count().await, 1);
        drop(watcher);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_joins_is_answered_once_it_has_what_was_committed_before_it() {
    for world in World::all().await {
        let mut first = decider(&world, start(None, &[])).await;
        let (_, known) = change(&world, &mut first).await;
        // Committed, and unknown here as long as it cannot be read: as a slow replica has it.
        world
            .sql(&[
                "INSERT INTO feed_event (revision, kind, payload, nonce, created_at)
                 SELECT revision + 1, kind, '{', nonce || 'x', created_at FROM feed_event
                 WHERE revision = (SELECT revision FROM feed_head)",
                "UPDATE feed_head SET revision = revision + 1",
            ])
            .await;
        let mut late = Watcher::of(&world, start(None, &[])).await.unwrap();
        late.hear_snapshot().await;
        {
            let answer = pong(&mut late);
            tokio::pin!(answer);
            assert!(
                timeout(WHILE, &mut answer).await.is_err(),
                "whoever waits for that change does not know this watcher"
            );
            world
                .sql(&[
                    "UPDATE feed_event SET payload = (SELECT last.payload FROM feed_event last
                        WHERE last.revision = feed_event.revision - 1) WHERE payload = '{'",
                ])
                .await;
            let position = answer.await.position.unwrap();
            assert_eq!(position.revision, known.revision + 1);
        }
        drop((first, late));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_begins_again_is_the_same_watcher() {
    for world in World::all().await {
        let begin = start(None, &[]);
        let mut last = decider(&world, begin.clone()).await;
        let (revision, cursor) = change(&world, &mut last).await;
        let next = decider(&world, begin).await;
        acknowledge(&next, cursor).await;
        let mut client = world.revisions();
        assert_eq!(
            counts(client.await_revision(asked(&world, &revision))).await,
            (1, 0)
        );
        drop((last, next));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_waits_for_the_watchers_of_the_others() {
    for world in World::all().await {
        // Only one process serves an SQLite file.
        if world.app.store().database().backend() == DbBackend::Sqlite {
            continue;
        }
        let replica = world.replica().await;
        let mut watcher = decider(&world, start(None, &[])).await;
        let (revision, cursor) = change(&world, &mut watcher).await;
        let mut client = replica.revisions();
        let waiting = client.await_revision(asked(&world, &revision));
        tokio::pin!(waiting);
        assert!(timeout(WHILE, &mut waiting).await.is_err());
        acknowledge(&watcher, cursor).await;
        assert_eq!(counts(waiting).await, (1, 0));
        drop(watcher);
        replica.stop().await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_revision_is_refused() {
    for world in World::all().await {
        let mut client = world.revisions();
        for revision in ["", "made up"] {
            let answer = client.await_revision(asked(&world, revision)).await;
            assert_eq!(violated(answer), ["revision"]);
        }
        let anonymous = wire::AwaitRevisionRequest::default();
        assert_eq!(
            reason(client.await_revision(anonymous).await),
            ErrorReason::TokenMissing
        );
        world.stop().await;
    }
}
