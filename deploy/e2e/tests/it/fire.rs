//! The feed of changes under fire: writers, watchers, and processes that are killed. Nothing is missed, the order is
//! kept, and another history is noticed.

mod watcher;
mod writers;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use identity_dev::service::{Link, Service};
use identity_proto::user::v1::{ListUsersRequest, UserStatus};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

use crate::{
    harness::{Replica, Store, World, requirements},
    restore::{after_restore, forget_state, kept_up, refuses_to_serve},
};
use watcher::{Ear, Heard, Watcher};
use writers::Writers;

on_both_stores!(
    every_watcher_replays_what_the_database_holds,
    a_database_put_back_to_an_earlier_copy_is_noticed,
    cursors_notice_a_database_put_back_where_nothing_else_is_left_to,
);

/// Far longer than anything takes that is to come.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two kills.
const BETWEEN_KILLS: Duration = Duration::from_millis(900);
/// How long a frozen writer may hold the counter's row, as every connection of the service has it.
const FROZEN: Duration = Duration::from_secs(2);

/// The internal listener, which takes service keys in these tests.
fn internal(replica: &Replica) -> Channel {
    let address = replica.launch.endpoints.internal;
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_timeout(Duration::from_secs(1))
        .connect_lazy()
}

fn service_key(world: &World) -> String {
    std::fs::read_to_string(world.material.service_key(Service::Auth)).unwrap()
}

async fn every_watcher_replays_what_the_database_holds(store: Store) {
    let seconds = requirements::rounds("E2E_FIRE_SECONDS", 5);
    let replicated = matches!(store, Store::Postgres(_));
    let mut world = World::linked(store, Link::ServiceKey).await;
    world.start().await;
    let mut second = replicated.then(|| world.second(Service::User));
    if let Some(second) = &mut second {
        second.start();
        second.ready().await;
    }
    let publics: Vec<_> = [Some(&world.user), second.as_ref()]
        .into_iter()
        .flatten()
        .map(|replica| replica.channel.clone())
        .collect();
    let internals: Vec<_> = [Some(&world.user), second.as_ref()]
        .into_iter()
        .flatten()
        .map(internal)
        .collect();
    let key = service_key(&world);
    // Whoever was there before the first watcher is told to nobody.
    let before = users(&world).await;
    let watchers: Vec<_> = (0..4)
        .map(|number| {
            let mut channels = internals.clone();
            channels.rotate_left(number % internals.len());
            Watcher::start(channels, key.clone(), number == 0)
        })
        .collect();
    for watcher in &watchers {
        watcher.is_on().await;
    }

    let writers = Writers::start(&publics, &world.admin);
    let until = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap());
    let mut kills = 0;
    while Instant::now() < until {
        sleep(BETWEEN_KILLS).await;
        let victim = match &mut second {
            Some(second) if kills % 2 == 1 => second,
            _ => &mut world.user,
        };
        victim.kill().await;
        victim.start();
        victim.ready().await;
        kills += 1;
        if replicated && kills == 3 {
            freeze_the_counter(&world.user.launch.database_url).await;
        }
    }
    let written = writers.stop().await;
    assert!(written > 50, "the writers wrote {written} times alone");

    // What is committed now comes last.
    let last = world.create_user("the-very-last").await.id;
    let held = users(&world).await;
    for (number, watcher) in watchers.into_iter().enumerate() {
        let Heard {
            users: mut replayed,
            changes,
            streams,
        } = watcher.until_created(&last).await;
        for (id, status) in &before {
            replayed.entry(id.clone()).or_insert(*status);
        }
        assert_eq!(replayed, held, "watcher {number}");
        say(&format!(
            "watcher {number}: {changes} changes over {streams} streams, {written} calls, {kills} kills"
        ));
    }
    latency(&world, &internals, &key).await;
    drop(second);
    world.dispose().await;
}

/// Somebody has the counter's row and is frozen: the database ends that after the time that each connection allows.
async fn freeze_the_counter(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for statement in [
        "SET idle_in_transaction_session_timeout = '2s'",
        "BEGIN",
        "UPDATE feed_head SET revision = revision + 1 WHERE id = 1",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    // A frozen process asks nothing meanwhile.
    sleep(FROZEN + FROZEN).await;
    let answer = sqlx::query("SELECT 1").execute(&mut connection).await;
    assert!(answer.is_err(), "it still holds the row");
}

/// A report: how long from a commit to a watcher, on the replica that wrote and on another one.
async fn latency(world: &World, internals: &[Channel], key: &str) {
    const CHANGES: usize = 40;
    for (channel, which) in internals
        .iter()
        .zip(["the same replica", "another replica"])
    {
        let mut ear = Ear::open(channel, key, None).await.unwrap();
        let from = ear.snapshot_revision().await;
        let listening = tokio::spawn(async move {
            let mut times = Vec::new();
            while times.len() < CHANGES {
                for change in ear.changes().await.unwrap() {
                    assert!(change.position.as_ref().unwrap().revision > from);
                    let at = SystemTime::try_from(change.commit_time.unwrap()).unwrap();
                    times.push(at.elapsed().unwrap_or_default());
                }
            }
            times
        });
        let label = which.replace(' ', "-");
        for number in 0..CHANGES {
            world.create_user(&format!("{label}-{number}")).await;
        }
        let mut times = timeout(PATIENCE, listening).await.unwrap().unwrap();
        times.sort_unstable();
        say(&format!(
            "from the commit to a watcher on {which}: median {:?}, greatest {:?}",
            times[times.len() / 2],
            times.last().unwrap()
        ));
    }
}

async fn a_database_put_back_to_an_earlier_copy_is_noticed(store: Store) {
    put_back(store, async |user: &mut Replica| {
        refuses_to_serve(user).await;
        assert_eq!(after_restore(&user.launch)["restored"], true);
    })
    .await;
}

async fn cursors_notice_a_database_put_back_where_nothing_else_is_left_to(store: Store) {
    put_back(store, async |user: &mut Replica| forget_state(&user.launch)).await;
}

/// A follower's place in a database that is put back; what an operator does about it comes in between.
async fn put_back(store: Store, operate: impl AsyncFnOnce(&mut Replica)) {
    const LOST: usize = 6;
    let mut world = World::linked(store.clone(), Link::ServiceKey).await;
    world.start().await;
    let (key, channel) = (service_key(&world), internal(&world.user));
    world.create_user("kept").await;
    let url = world.user.launch.database_url.clone();
    world.user.kill().await;
    store.copy_database(&url).await;
    world.user.start();
    world.user.ready().await;

    let mut ear = Ear::open(&channel, &key, None).await.unwrap();
    ear.snapshot_revision().await;
    for number in 0..LOST {
        world.create_user(&format!("lost-{number}")).await;
    }
    let mut cursor = None;
    for _ in 0..LOST {
        cursor = ear.change().await.unwrap().position;
    }
    let cursor = cursor.unwrap();
    drop(ear);

    kept_up(&world.user.launch).await;
    world.user.kill().await;
    store.put_back(&url).await;
    operate(&mut world.user).await;
    world.user.start();
    world.user.ready().await;
    // Ahead of what there is now.
    let ahead = Ear::open(&channel, &key, Some(cursor.clone())).await;
    ahead.unwrap().is_reset().await;
    // The same revision, and another change.
    for number in 0..LOST {
        world.create_user(&format!("other-{number}")).await;
    }
    let comes_there = async {
        loop {
            let now = Ear::open(&channel, &key, None).await;
            let revision = now.unwrap().snapshot_revision().await;
            assert!(revision <= cursor.revision);
            if revision == cursor.revision {
                break;
            }
        }
    };
    timeout(PATIENCE, comes_there).await.unwrap();
    let beside = Ear::open(&channel, &key, Some(cursor)).await;
    beside.unwrap().is_reset().await;
    world.dispose().await;
}

/// Everybody, and whether they may use the system.
async fn users(world: &World) -> BTreeMap<String, UserStatus> {
    let mut users = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListUsersRequest {
            page_size: 500,
            page_token,
            ..ListUsersRequest::default()
        };
        let answer = world.api.users(&world.admin).list_users(request).await;
        let page = answer.unwrap().into_inner();
        users.extend(page.users.into_iter().map(|user| {
            let status = user.status();
            (user.id, status)
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return users;
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the measures of a trial are its result"
)]
fn say(text: &str) {
    eprintln!("{text}");
}
