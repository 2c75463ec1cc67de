//! Suspension against logins and refreshes that run at the same time: once it is answered, none succeeds.

use identity_proto::{
    auth::v1::TokenSet,
    user::v1::{ActivateUserRequest, SuspendUserRequest},
};
use tokio::task::JoinSet;
use tonic::Status;

use crate::harness::{
    Person, Store, World,
    person::{refresh, refused, validate},
    requirements,
};

on_both_stores!(nothing_begun_after_the_reply_of_a_suspension_succeeds);

async fn nothing_begun_after_the_reply_of_a_suspension_succeeds(store: Store) {
    let world = World::running(store).await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(world.person(&format!("ada-{number}")).await);
    }
    for round in 0..requirements::rounds("E2E_SUSPENSION_ROUNDS", 10) {
        let person = &people[round % people.len()];
        let before = person.log_in(&world.api).await.unwrap();
        let racing = race(&world, person, &before);
        suspend(&world, person).await;

        // Begun after the reply: the right password earns the truth, the refresh token nothing.
        let login = refused(person.log_in(&world.api).await);
        assert_eq!(login, "ACCOUNT_SUSPENDED", "round {round}");
        assert_ended(&world, person, &before, round).await;
        // Begun before it: whatever they were given is worth nothing now.
        for tokens in racing.join_all().await.into_iter().flatten() {
            assert_ended(&world, person, &tokens, round).await;
        }
        activate(&world, person).await;
        let ended = refresh(&world.api, &before.refresh_token).await;
        assert!(ended.is_err(), "round {round}: a session came back");
    }
    world.dispose().await;
}

/// Logins and a refresh that run while the user is being suspended.
fn race(world: &World, person: &Person, tokens: &TokenSet) -> JoinSet<Result<TokenSet, Status>> {
    let mut racing = JoinSet::new();
    for _ in 0..2 {
        let (api, person) = (world.api.clone(), person.clone());
        racing.spawn(async move { person.log_in(&api).await });
    }
    let (api, token) = (world.api.clone(), tokens.refresh_token.clone());
    racing.spawn(async move { refresh(&api, &token).await });
    racing
}

async fn assert_ended(world: &World, person: &Person, tokens: &TokenSet, round: usize) {
    let outcome = refresh(&world.api, &tokens.refresh_token).await;
    assert!(outcome.is_err(), "round {round}: a refresh succeeded");
    let outcome = validate(&world.api, &tokens.access_token).await;
    assert!(outcome.is_err(), "round {round}: a token was good");
    let outcome = person.read_self(&world.api, &tokens.access_token).await;
    assert!(outcome.is_err(), "round {round}: user-service took a token");
}

async fn suspend(world: &World, person: &Person) {
    let request = SuspendUserRequest {
        user_id: person.id.clone(),
        ..SuspendUserRequest::default()
    };
    let answer = world.api.users(&world.admin).suspend_user(request).await;
    answer.unwrap();
}

async fn activate(world: &World, person: &Person) {
    let request = ActivateUserRequest {
        user_id: person.id.clone(),
        ..ActivateUserRequest::default()
    };
    let answer = world.api.users(&world.admin).activate_user(request).await;
    answer.unwrap();
}
