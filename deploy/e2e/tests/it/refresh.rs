//! Refresh tokens: one successor whatever the crowd, the same one for a lost answer, the end for a replay.

use std::{collections::BTreeSet, time::Duration};

use identity_dev::{api::Api, refusal, service::Service};
use tokio::task::JoinSet;

use crate::harness::{
    Store, World,
    person::{refresh, refresh_as, refused, validate},
    requirements,
};

on_both_stores!(
    fifty_parallel_refreshes_have_exactly_one_successor,
    a_lost_answer_is_retried_and_a_replay_ends_the_family,
    a_replay_after_the_window_ends_the_family,
    a_retry_needs_the_request_id_of_the_first_call,
);

/// How many calls trade one token at once.
const CROWD: usize = 50;

async fn fifty_parallel_refreshes_have_exactly_one_successor(store: Store) {
    let replicas = matches!(store, Store::Postgres(_));
    let world = World::running(store).await;
    let mut second = world.second(Service::Auth);
    let mut doors = vec![world.api.clone()];
    if replicas {
        second.start();
        second.ready().await;
        doors.push(Api {
            user: world.api.user.clone(),
            auth: second.channel.clone(),
        });
    }
    let person = world.person("ada").await;
    for round in 0..requirements::rounds("E2E_REFRESH_ROUNDS", 10) {
        let tokens = person.log_in(&world.api).await.unwrap();
        let mut crowd = JoinSet::new();
        for at in 0..CROWD {
            let api = doors[at % doors.len()].clone();
            let token = tokens.refresh_token.clone();
            crowd.spawn(async move { refresh(&api, &token).await });
        }
        let mut successors = BTreeSet::new();
        for outcome in crowd.join_all().await {
            match outcome {
                Ok(tokens) => {
                    successors.insert(tokens.refresh_token);
                }
                Err(status) => {
                    let reason = refused::<()>(Err(status));
                    // Late, or beaten to it by another one of them.
                    let is_permitted = ["REFRESH_TOKEN_INVALID", "CONFLICT"].contains(&&*reason);
                    assert!(is_permitted, "round {round}: {reason}");
                }
            }
        }
        assert_eq!(
            successors.len(),
            1,
            "round {round}: successors of one token"
        );
    }
    world.dispose().await;
}

async fn a_lost_answer_is_retried_and_a_replay_ends_the_family(store: Store) {
    let world = World::running(store).await;
    let person = world.person("ada").await;
    let first = person.log_in(&world.api).await.unwrap();

    let lost = refresh(&world.api, &first.refresh_token).await.unwrap();
    let retried = refresh(&world.api, &first.refresh_token).await.unwrap();
    assert_eq!(lost.refresh_token, retried.refresh_token);

    let latest = refresh(&world.api, &retried.refresh_token).await.unwrap();
    validate(&world.api, &latest.access_token).await.unwrap();
    // The successor has been used, so this is no retry.
    let replay = refresh(&world.api, &first.refresh_token).await;
    assert_eq!(refused(replay), "REFRESH_TOKEN_INVALID");
    let heir = refresh(&world.api, &latest.refresh_token).await;
    assert_eq!(refused(heir), "REFRESH_TOKEN_INVALID");
    let access = validate(&world.api, &latest.access_token).await;
    assert_eq!(refused(access), "TOKEN_REVOKED");
    let read = async || person.read_self(&world.api, &latest.access_token).await;
    refusal::until("TOKEN_REVOKED", read).await.unwrap();
    world.dispose().await;
}

async fn a_replay_after_the_window_ends_the_family(store: Store) {
    let mut world = World::prepared(store).await;
    let window = Duration::from_secs(1);
    world.auth.launch.extra = vec![format!("--refresh-retry-seconds={}", window.as_secs())];
    world.start().await;
    let person = world.person("ada").await;
    let first = person.log_in(&world.api).await.unwrap();
    let latest = refresh(&world.api, &first.refresh_token).await.unwrap();
    // The successor is unused, so that the time alone makes the difference.
    tokio::time::sleep(window + Duration::from_millis(100)).await;

    let replay = refresh(&world.api, &first.refresh_token).await;
    assert_eq!(refused(replay), "REFRESH_TOKEN_INVALID");
    let heir = refresh(&world.api, &latest.refresh_token).await;
    assert_eq!(refused(heir), "REFRESH_TOKEN_INVALID");
    let access = validate(&world.api, &latest.access_token).await;
    assert_eq!(refused(access), "TOKEN_REVOKED");
    world.dispose().await;
}

async fn a_retry_needs_the_request_id_of_the_first_call(store: Store) {
    let world = World::running(store).await;
    let person = world.person("ada").await;
    let first = person.log_in(&world.api).await.unwrap();
    let token = &first.refresh_token;
    let lost = refresh_as(&world.api, token, "one").await.unwrap();
    let retried = refresh_as(&world.api, token, "one").await.unwrap();
    assert_eq!(lost.refresh_token, retried.refresh_token);
    let stranger = refresh_as(&world.api, token, "another").await;
    assert_eq!(refused(stranger), "REFRESH_TOKEN_INVALID");
    let family = refresh(&world.api, &lost.refresh_token).await;
    assert_eq!(refused(family), "REFRESH_TOKEN_INVALID");
    world.dispose().await;
}
