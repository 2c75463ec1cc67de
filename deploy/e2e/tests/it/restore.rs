//! Both databases are put back to earlier copies: nobody serves them until the verbs were run, and then nothing that
//! was ended or erased since is back.

mod guard;

use std::{fs, path::PathBuf, time::Duration};

use identity_dev::{
    administrator,
    service::{Launch, Link, Service},
    session,
};
use identity_proto::{
    auth::v1::{TokenSet, login_response},
    user::v1::{DeleteUserRequest, GetUserRequest, SuspendUserRequest},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{
    Person, Replica, Store, World,
    person::{log_out, refresh, refused, validate},
    requirements,
    store::count,
};
use guard::Backend;

on_both_stores!(
    a_pair_that_was_put_back_brings_back_nobody_who_was_erased_and_nothing_that_was_ended,
    a_session_of_somebody_whom_the_copy_of_the_other_service_does_not_know_ends,
    changes_of_a_copy_count_also_where_nothing_but_the_cursors_notices_it,
    a_verb_that_is_killed_again_and_again_comes_to_its_end,
);

/// Far longer than anything takes that is to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the verb; what it prints.
pub(crate) fn after_restore(launch: &Launch) -> Value {
    let output = launch.verb("after-restore").output().unwrap();
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problems}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A process that is started does not serve, and says what to do.
pub(crate) async fn refuses_to_serve(replica: &mut Replica) {
    let served = replica.times_served();
    assert!(served > 0, "it has served before");
    replica.start();
    let status = replica.ended_within(PATIENCE).await.expect("it serves");
    assert_eq!(replica.times_served(), served, "not even for a moment");
    assert_eq!(status.code(), Some(1), "as of a wrong setting");
    let log = replica.log_end();
    let verb = format!("run `{} after-restore`", replica.service().name());
    assert!(log.contains(&verb), "{log}");
}

/// Loses what was kept apart from the database.
pub(crate) fn forget_state(launch: &Launch) {
    for suffix in ["marker", "erasures", "marker-lock"] {
        // There may be no journal.
        let _ = fs::remove_file(state_file(launch, suffix));
    }
}

/// A file that is kept apart from the database.
fn state_file(launch: &Launch, suffix: &str) -> PathBuf {
    if let Some(folder) = &launch.state_dir {
        return folder.join(format!("{}.{suffix}", launch.service.name()));
    }
    let file = launch.database_url.trim_start_matches("sqlite://");
    let file = file.split('?').next().unwrap();
    format!("{file}.{suffix}").into()
}

/// Waits until what is kept apart tells everything that the database does.
pub(crate) async fn kept_up(launch: &Launch) {
    let bound = Instant::now() + PATIENCE;
    loop {
        let marker = fs::read(state_file(launch, "marker")).unwrap_or_default();
        let marker: Value = serde_json::from_slice(&marker).unwrap_or_default();
        let behind = format!(
            "feed_event WHERE revision > {}",
            marker["revision"].as_i64().unwrap_or(0)
        );
        if marker.is_object() && count(&launch.database_url, &behind).await == 0 {
            return;
        }
        assert!(Instant::now() < bound, "the marker stays at {marker}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Those of the pair's people who matter here.
struct People {
    kept: Person,
    gone: Person,
    suspended: Person,
}

/// Kills both, keeps copies of their databases, and starts both.
async fn copy(world: &mut World, store: &Store) {
    for service in Service::BOTH {
        world.replica(service).kill().await;
        let url = world.replica(service).launch.database_url.clone();
        store.copy_database(&url).await;
        world.replica(service).start();
    }
    world.ready().await;
}

async fn put_back(world: &mut World, store: &Store) {
    for service in Service::BOTH {
        world.replica(service).kill().await;
        let url = world.replica(service).launch.database_url.clone();
        store.put_back(&url).await;
    }
}

async fn delete(world: &World, user_id: &str) {
    let request = DeleteUserRequest {
        user_id: user_id.to_owned(),
        ..DeleteUserRequest::default()
    };
    let mut users = world.api.users(&world.admin);
    users.delete_user(request).await.unwrap();
}

async fn suspend(world: &World, user_id: &str) {
    let request = SuspendUserRequest {
        user_id: user_id.to_owned(),
        ..SuspendUserRequest::default()
    };
    let mut users = world.api.users(&world.admin);
    users.suspend_user(request).await.unwrap();
}

async fn a_pair_that_was_put_back_brings_back_nobody_who_was_erased_and_nothing_that_was_ended(
    store: Store,
) {
    let mut world = World::linked(store.clone(), Link::ServiceKey).await;
    world.user.start();
    world.auth.start();
    world.ready().await;
    let administrator = administrator::create(&world.user.launch, "root-admin").unwrap();
    let admin = administrator.log_in(&world.api).await.unwrap();
    world.admin.clone_from(&admin.access_token);
    let people = People {
        kept: world.person("kept").await,
        gone: world.person("gone").await,
        suspended: world.person("suspended").await,
    };
    let first = administrator::random_password().unwrap();
    world.create_user_with_password("late", &first).await;
    let mut before = vec![admin];
    for person in [&people.kept, &people.gone, &people.suspended] {
        before.push(person.log_in(&world.api).await.unwrap());
    }
    let logged_out = people.kept.log_in(&world.api).await.unwrap();
    let backend = Backend::start(&world);
    copy(&mut world, &store).await;

    // What the copies know nothing of.
    let lost = lose(&world, &people, &logged_out, &first).await;
    backend.takes(&lost.minted[0].access_token).await;
    for service in Service::BOTH {
        kept_up(&world.replica(service).launch).await;
    }
    let epoch = backend.epoch();
    put_back(&mut world, &store).await;

    for service in Service::BOTH {
        refuses_to_serve(world.replica(service)).await;
    }
    assert_eq!(
        count(
            &world.user.launch.database_url,
            "users WHERE username = 'gone'"
        )
        .await,
        1
    );
    let said = after_restore(&world.user.launch);
    assert_eq!(
        (&said["journaled_users"], &said["erased_users"]),
        (&json!(2), &json!(1))
    );
    let said = after_restore(&world.auth.launch);
    assert_eq!(said["withdrawn_keys"], json!(1));
    for launch in [&world.user.launch, &world.auth.launch] {
        assert_eq!(after_restore(launch), json!({ "restored": false }));
    }
    for service in Service::BOTH {
        world.replica(service).start();
    }
    world.ready().await;

    // Until then it may decide by what it knows, for its greatest staleness.
    backend.begins_anew_after(&epoch).await;
    before.push(logged_out);
    before.extend(lost.minted);
    nothing_is_believed(&world, &backend, &people, &before).await;
    // Who is there is who was there, but for the erased.
    let admin = administrator.log_in(&world.api).await.unwrap();
    world.admin.clone_from(&admin.access_token);
    is_gone(&world, &people.gone).await;
    for person in [&people.kept, &people.suspended] {
        let tokens = person.log_in(&world.api).await.unwrap();
        let token = refresh(&world.api, &tokens.refresh_token).await.unwrap();
        person
            .read_self(&world.api, &token.access_token)
            .await
            .unwrap();
        backend.takes(&token.access_token).await;
    }
    // A password that was set since is lost with the rest.
    let begun = session::begin(&world.api, "late", &first).await.unwrap();
    assert!(matches!(begun, login_response::Result::Challenge(_)));
    let verified = world.user.launch.verb("verify-audit").output().unwrap();
    assert!(verified.status.success(), "{verified:?}");

    // And from here on it is a database like any other.
    for service in Service::BOTH {
        world.replica(service).kill().await;
        world.replica(service).start();
    }
    world.ready().await;
    backend.takes(&admin.access_token).await;
    world.dispose().await;
}

/// What happened behind the copies.
struct Lost {
    minted: Vec<TokenSet>,
}

async fn lose(world: &World, people: &People, logged_out: &TokenSet, first: &str) -> Lost {
    let mut minted = vec![people.kept.log_in(&world.api).await.unwrap()];
    minted.push(refresh(&world.api, &minted[0].refresh_token).await.unwrap());
    minted.push(people.gone.log_in(&world.api).await.unwrap());
    delete(world, &people.gone.id).await;
    suspend(world, &people.suspended.id).await;
    log_out(&world.api, &logged_out.access_token).await.unwrap();
    let password = administrator::random_password().unwrap();
    let late = session::log_in(&world.api, "late", first, &password);
    minted.push(late.await.unwrap());
    // Somebody of whom the copy never heard.
    let stranger = world.person("stranger").await;
    minted.push(stranger.log_in(&world.api).await.unwrap());
    delete(world, &stranger.id).await;
    Lost { minted }
}

/// No token from before is good for anything anywhere.
async fn nothing_is_believed(
    world: &World,
    backend: &Backend,
    people: &People,
    before: &[TokenSet],
) {
    for tokens in before {
        let token = &tokens.access_token;
        assert_eq!(refused(validate(&world.api, token).await), "TOKEN_REVOKED");
        let read = people.kept.read_self(&world.api, token).await;
        assert_eq!(refused(read), "TOKEN_REVOKED");
        backend.refuses(token).await;
        let traded = refresh(&world.api, &tokens.refresh_token).await;
        assert_eq!(refused(traded), "REFRESH_TOKEN_INVALID");
    }
}

/// Nothing of a person is left.
async fn is_gone(world: &World, person: &Person) {
    let login = person.log_in(&world.api).await;
    assert_eq!(refused(login), "INVALID_CREDENTIALS");
    let request = GetUserRequest {
        user_id: person.id.clone(),
        ..GetUserRequest::default()
    };
    let read = world.api.users(&world.admin).get_user(request).await;
    assert_eq!(refused(read), "USER_NOT_FOUND");
    let url = &world.user.launch.database_url;
    assert_eq!(count(url, "users WHERE username = 'gone'").await, 0);
    assert_eq!(
        count(
            url,
            "user_search WHERE user_id NOT IN (SELECT id FROM users)"
        )
        .await,
        0
    );
    if let Some(file) = url.strip_prefix("sqlite://") {
        let file = file.split('?').next().unwrap();
        let bytes = fs::read(file).unwrap();
        let text = b"gone@example.org";
        assert!(!bytes.windows(text.len()).any(|part| part == text));
    }
}

async fn a_session_of_somebody_whom_the_copy_of_the_other_service_does_not_know_ends(store: Store) {
    let mut world = World::linked(store.clone(), Link::ServiceKey).await;
    world.start().await;
    let kept = world.person("kept").await;
    let here = kept.log_in(&world.api).await.unwrap();
    world.user.kill().await;
    let url = world.user.launch.database_url.clone();
    store.copy_database(&url).await;
    world.user.start();
    world.ready().await;
    let stranger = world.person("stranger").await;
    let gone = stranger.log_in(&world.api).await.unwrap();
    validate(&world.api, &gone.access_token).await.unwrap();

    kept_up(&world.user.launch).await;
    world.user.kill().await;
    store.put_back(&url).await;
    refuses_to_serve(&mut world.user).await;
    after_restore(&world.user.launch);
    world.user.start();
    world.ready().await;
    let bound = Instant::now() + PATIENCE;
    while validate(&world.api, &gone.access_token).await.is_ok() {
        assert!(Instant::now() < bound, "the session goes on");
        sleep(Duration::from_millis(10)).await;
    }
    let traded = refresh(&world.api, &gone.refresh_token).await;
    assert_eq!(refused(traded), "REFRESH_TOKEN_INVALID");
    // Whoever is in the copy keeps what auth-service knows.
    kept.read_self(&world.api, &here.access_token)
        .await
        .unwrap();
    refresh(&world.api, &here.refresh_token).await.unwrap();
    world.dispose().await;
}

async fn changes_of_a_copy_count_also_where_nothing_but_the_cursors_notices_it(store: Store) {
    let mut world = World::linked(store.clone(), Link::ServiceKey).await;
    world.start().await;
    let kept = world.person("kept").await;
    let tokens = kept.log_in(&world.api).await.unwrap();
    let backend = Backend::start(&world);
    world.user.kill().await;
    let url = world.user.launch.database_url.clone();
    store.copy_database(&url).await;
    world.user.start();
    world.ready().await;
    for number in 0..6 {
        world.create_user(&format!("lost-{number}")).await;
    }
    world.user.kill().await;
    store.put_back(&url).await;
    forget_state(&world.user.launch);
    world.user.start();
    world.ready().await;
    backend.takes(&tokens.access_token).await;
    // At a revision that the lost end had as well; nobody asks about the user.
    suspend(&world, &kept.id).await;
    backend.comes_to_refuse(&tokens.access_token).await;
    world.dispose().await;
}

async fn a_verb_that_is_killed_again_and_again_comes_to_its_end(store: Store) {
    const MANY: usize = 60;
    let mut world = World::linked(store.clone(), Link::ServiceKey).await;
    world.start().await;
    let mut ids = Vec::new();
    for number in 0..MANY {
        ids.push(world.create_user(&format!("many-{number}")).await.id);
    }
    world.user.kill().await;
    let url = world.user.launch.database_url.clone();
    store.copy_database(&url).await;
    world.user.start();
    world.ready().await;
    for id in &ids {
        delete(&world, id).await;
    }
    kept_up(&world.user.launch).await;
    world.user.kill().await;
    store.put_back(&url).await;

    let mut left = Vec::new();
    for life in 0.. {
        let mut verb = world.user.launch.verb("after-restore").spawn().unwrap();
        // Longer each time, so that it is killed in every step and comes to its end at last.
        sleep(Duration::from_millis(20 + 10 * life)).await;
        if let Some(status) = verb.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        verb.kill().unwrap();
        verb.wait().unwrap();
        left.push(count(&url, "users WHERE username LIKE 'many-%'").await);
    }
    assert!(
        left.len() > 1 && left.is_sorted_by(|before, after| before >= after),
        "{left:?}"
    );
    assert_eq!(count(&url, "users WHERE username LIKE 'many-%'").await, 0);
    assert_eq!(
        after_restore(&world.user.launch),
        json!({ "restored": false })
    );
    world.user.start();
    world.ready().await;
    let verified = world.user.launch.verb("verify-audit").output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    world.dispose().await;
}

// A process keeps the file of SQLite that it has opened, whatever stands in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_put_back_beneath_a_process_is_not_served_any_longer() {
    let Some(store) = requirements::postgres("a_database_that_is_put_back_beneath_a_process")
    else {
        return;
    };
    let mut world = World::linked(store.clone(), Link::ServiceKey).await;
    world.start().await;
    copy(&mut world, &store).await;
    world.create_user("lost").await;
    kept_up(&world.user.launch).await;
    store.put_back(&world.user.launch.database_url).await;
    let status = world.user.ended_within(PATIENCE).await;
    assert_eq!(status.expect("it serves").code(), Some(1));
    let log = world.user.log_end();
    assert!(log.contains("run `user-service after-restore`"), "{log}");
    world.dispose().await;
}
