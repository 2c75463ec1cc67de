//! Two services on one PostgreSQL.

use auth_service::store::{keys, migration::Migrator};
use identity_guard::status::{ErrorReason, reason_of};
use identity_kit::testing::TestDatabase;

use crate::{
    control::rounds,
    harness::{World, eventually},
    refresh::assert_one_successor,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_reaches_the_other_replica() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    let world = World::new(database).await;
    let (one, other) = tokio::join!(world.start(), world.start());
    let tokens = one.login("ada").await;
    other.validate(&tokens.access_token).await.unwrap();
    one.logout(&tokens.access_token).await.unwrap();
    eventually("the other replica refuses", async || {
        let answer = other.validate(&tokens.access_token).await;
        answer.is_err_and(|status| reason_of(&status) == Some(ErrorReason::TokenRevoked))
    })
    .await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_agree_on_one_key() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    let world = World::new(database).await;
    let (one, other) = tokio::join!(world.start(), world.start());
    let keys = keys::list(world.database.reader()).await.unwrap();
    assert_eq!(keys.len(), 1);
    let tokens = one.login("ada").await;
    other.validate(&tokens.access_token).await.unwrap();
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_refreshes_on_two_replicas_never_make_two_successors() {
    let Some(database) = TestDatabase::postgres::<Migrator>().await else {
        return;
    };
    let world = World::new(database).await;
    let replicas = [world.start().await, world.start().await];
    for round in 0..rounds() {
        let tokens = replicas[round % 2].login("ada").await;
        let answers = futures_util::future::join_all(
            (0..50).map(|call| replicas[call % 2].refresh(&tokens.refresh_token)),
        )
        .await;
        assert_one_successor(answers, round);
    }
    for replica in replicas {
        replica.stop().await;
    }
}
