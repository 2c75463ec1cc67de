//! Either service starts first, and waits for the other without falling over.

use identity_dev::{health, service::Service};

use crate::harness::{Store, World};

on_both_stores!(user_service_starts_first, auth_service_starts_first);

async fn user_service_starts_first(store: Store) {
    starts_first(store, Service::User).await;
}

async fn auth_service_starts_first(store: Store) {
    starts_first(store, Service::Auth).await;
}

async fn starts_first(store: Store, first: Service) {
    let mut world = World::prepared(store).await;
    world.replica(first).start();
    // Alone it answers health, though what needs the peer may not serve yet.
    let channel = world.replica(first).channel.clone();
    answers(&channel).await;
    world.replica(first.peer()).start();
    world.ready().await;
    world.log_administrator_in().await;
    let person = world.person("ada").await;
    let tokens = person.log_in(&world.api).await.unwrap();
    person
        .read_self(&world.api, &tokens.access_token)
        .await
        .unwrap();
    world.dispose().await;
}

/// Waits until the process answers a call at all.
async fn answers(channel: &tonic::transport::Channel) {
    let limit = std::time::Duration::from_secs(30);
    let answered = async {
        while !health::answers(channel).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(limit, answered)
        .await
        .expect("the process answers health without its peer");
}
