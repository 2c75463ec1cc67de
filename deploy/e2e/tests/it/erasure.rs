//! Erasure is complete: after `DeleteUser` nothing that was known of a person stands in a dump of either database or in
//! a log of either process, in any form that can be found again, and the audit chain still holds.

mod dump;
mod figure;
mod life;
mod needles;

use std::collections::BTreeSet;

use identity_dev::service::Link;
use identity_proto::user::v1::{
    AwaitRevisionRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{
    Replica, Store, World,
    person::{refresh, refused},
    store::execute,
};
use figure::{Figure, Origin};
use life::Life;
use needles::Needles;

on_both_stores!(nothing_of_a_deleted_person_is_in_a_database_or_a_log);

/// What must be found of each before the deletion, or a search that finds nothing afterwards proves nothing.
const IN_USER_SERVICE: [&str; 13] = [
    "city",
    "email that is waited for",
    "extra",
    "first name",
    "mail address",
    "phone",
    "postal code",
    "reason of the activation",
    "region",
    "second last name",
    "stem",
    "street",
    "username",
];
const IN_AUTH_SERVICE: [&str; 3] = ["network", "stem", "user agent"];

async fn nothing_of_a_deleted_person_is_in_a_database_or_a_log(store: Store) {
    let mut world = World::linked(store.clone(), Link::ServiceKey).await;
    let switch = "--self-registration".to_owned();
    world.user.launch.extra.push(switch);
    for replica in [&mut world.user, &mut world.auth] {
        let json = ["--log-format".to_owned(), "json".to_owned()];
        replica.launch.extra.extend(json);
        let loud = ("RUST_LOG".to_owned(), "debug".to_owned());
        replica.launch.environment.push(loud);
    }
    world.start().await;
    let figures = Figure::all();
    let mut lives = Vec::new();
    for figure in &figures {
        lives.push(Life::live(&world, figure).await);
    }
    let needles = Needles::of(figures.iter().flat_map(Figure::facts));
    everything_stands_where_it_should(&world, &figures, &needles).await;

    for life in &lives {
        delete(&world, life).await;
    }
    for life in &lives {
        knock(&world, life).await;
    }
    let [user, auth] = databases(&world).await;
    assert_eq!(needles.found(&user), BTreeSet::new(), "in user-service");
    assert_eq!(needles.found(&auth), BTreeSet::new(), "in auth-service");
    nothing_is_logged(&world, &needles).await;
    the_chain_holds(&world);

    // What stood there again would be found.
    let user = "UPDATE users SET last_name = 'Zebedeeson' WHERE username = 'root-admin'";
    assert_eq!(execute(&world.user.launch.database_url, user).await, 1);
    let auth = "UPDATE sessions SET user_agent = 'zebedee-browser/1.0'";
    assert!(execute(&world.auth.launch.database_url, auth).await > 0);
    for (service, dump) in ["user", "auth"].iter().zip(databases(&world).await) {
        let found = needles.found(&dump);
        assert!(
            found.contains("zebedee: stem as text"),
            "{service}: {found:?}"
        );
    }
    world.dispose().await;
}

/// The control: the same search finds what is known of the living, each where it belongs, and nothing in the logs.
async fn everything_stands_where_it_should(world: &World, figures: &[Figure], needles: &Needles) {
    let [user, auth] = databases(world).await;
    for (service, dump, expected) in [
        ("user-service", user, IN_USER_SERVICE.as_slice()),
        ("auth-service", auth, IN_AUTH_SERVICE.as_slice()),
    ] {
        let found = needles.found(&dump);
        for figure in figures {
            let as_text: BTreeSet<_> = found
                .iter()
                .filter_map(|found| found.strip_prefix(&format!("{}: ", figure.stem)))
                .filter_map(|found| found.strip_suffix(" as text"))
                .collect();
            let missing: Vec<_> = expected
                .iter()
                .filter(|fact| !as_text.contains(*fact))
                .collect();
            assert!(
                missing.is_empty(),
                "{service} does not have {missing:?} of {}: {as_text:?}",
                figure.stem
            );
        }
    }
    nothing_is_logged(world, needles).await;
    for replica in [&world.user, &world.auth] {
        let log = String::from_utf8(replica.log()).unwrap();
        assert!(log.contains(r#""level":"DEBUG""#), "the log is loud");
    }
}

async fn databases(world: &World) -> [Vec<u8>; 2] {
    let mut dumps = Vec::new();
    for replica in [&world.user, &world.auth] {
        dumps.push(dump::of(&replica.launch.database_url).await);
    }
    dumps.try_into().unwrap()
}

async fn nothing_is_logged(world: &World, needles: &Needles) {
    for replica in [&world.user, &world.auth] {
        let metrics = metrics(replica).await;
        assert_eq!(needles.found(metrics.as_bytes()), BTreeSet::new());
        let log = replica.log();
        let found = needles.found(&log);
        assert!(
            found.is_empty(),
            "{} logs {found:?}, as in {:?}",
            replica.service().name(),
            needles.line(&log)
        );
    }
}

/// What a service counts, as it shows it.
async fn metrics(replica: &Replica) -> String {
    let address = replica.launch.endpoints.admin;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("rpc_server_call_duration"), "{answer}");
    answer
}

/// Deletes somebody and waits until auth-service has heard of it.
async fn delete(world: &World, life: &Life<'_>) {
    let request = DeleteUserRequest {
        user_id: life.id.clone(),
        ..DeleteUserRequest::default()
    };
    let mut users = world.api.users(&world.admin);
    let answer = users.delete_user(request).await.unwrap().into_inner();
    let request = AwaitRevisionRequest {
        revision: answer.revision,
    };
    let mut revisions = world.api.revisions(&world.admin);
    let heard = revisions.await_revision(request).await.unwrap();
    assert!(heard.into_inner().acknowledged_count >= 1);
}

/// Whoever comes back or is looked for is told nothing, and leaves nothing.
async fn knock(world: &World, life: &Life<'_>) {
    let figure = life.figure;
    for identifier in [&figure.username, &figure.email, &figure.mail] {
        let outcome = life.log_in(identifier, &figure.password).await;
        assert_eq!(refused(outcome), "INVALID_CREDENTIALS");
    }
    let outcome = refresh(&life.api, &life.refresh_token).await;
    assert_eq!(refused(outcome), "REFRESH_TOKEN_INVALID");
    let mut users = world.api.users(&world.admin);
    let request = GetUserRequest {
        user_id: life.id.clone(),
        ..GetUserRequest::default()
    };
    assert_eq!(refused(users.get_user(request).await), "USER_NOT_FOUND");
    let request = ListUsersRequest {
        query: figure.stem.to_owned(),
        ..ListUsersRequest::default()
    };
    let found = users.list_users(request).await.unwrap().into_inner();
    assert_eq!(found.users, []);
}

fn the_chain_holds(world: &World) {
    let output = world.user.launch.verb("verify-audit").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(verified["count"].as_u64().unwrap() > 20, "{verified}");
}
