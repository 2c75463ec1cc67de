//! What an attacker learns from a refused login: nothing.

use identity_proto::user::v1::SuspendUserRequest;
use tonic::{Code, Status};

use crate::harness::{Store, World, person::log_in};

on_both_stores!(every_failed_login_gets_the_same_answer);

async fn every_failed_login_gets_the_same_answer(store: Store) {
    let world = World::running(store).await;
    let known = world.person("ada").await;
    let suspended = world.person("mallory").await;
    world
        .api
        .users(&world.admin)
        .suspend_user(SuspendUserRequest {
            user_id: suspended.id.clone(),
            ..SuspendUserRequest::default()
        })
        .await
        .unwrap();
    world.create_user("without-password").await;

    let wrong = "a wrong password, long enough";
    let mut answers = Vec::new();
    for (case, identifier) in [
        ("wrong password", known.username.as_str()),
        ("unknown user", "nobody"),
        ("unknown address", "nobody@example.org"),
        ("suspended user", suspended.username.as_str()),
        ("no password set", "without-password"),
    ] {
        let status = log_in(&world.api, identifier, wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{case}: {status:?}");
        answers.push((case, content(&status)));
    }
    for (case, answer) in &answers {
        assert_eq!(answer, &answers[0].1, "{case} is told apart");
    }
    world.dispose().await;
}

/// Everything in the answer but what differs between any two calls.
fn content(status: &Status) -> (String, Vec<u8>, Vec<String>) {
    let mut names: Vec<_> = status
        .metadata()
        .keys()
        .map(|key| format!("{key:?}"))
        .collect();
    names.sort();
    (
        status.message().to_owned(),
        status.details().to_vec(),
        names,
    )
}
