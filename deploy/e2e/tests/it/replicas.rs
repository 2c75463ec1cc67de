//! Two processes of a service on one database, and schemas that a process does not know.

use std::time::Duration;

use identity_dev::{api::Api, service::Service};

use crate::harness::{Store, World, requirements, store};

on_both_stores!(serve_refuses_a_schema_from_the_future);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_of_each_start_at_once_on_an_empty_database() {
    let Some(store) = requirements::postgres("two replicas") else {
        return;
    };
    let mut world = World::prepared(store).await;
    let mut user = world.second(Service::User);
    let mut auth = world.second(Service::Auth);
    for replica in [&mut world.user, &mut user, &mut world.auth, &mut auth] {
        replica.start();
    }
    world.ready().await;
    user.ready().await;
    auth.ready().await;

    world.log_administrator_in().await;
    let person = world.person("ada").await;
    let second = Api {
        user: user.channel.clone(),
        auth: auth.channel.clone(),
    };
    let tokens = person.log_in(&second).await.unwrap();
    for api in [&world.api, &second] {
        person.read_self(api, &tokens.access_token).await.unwrap();
    }
    world.dispose().await;
}

async fn serve_refuses_a_schema_from_the_future(store: Store) {
    let mut world = World::running(store).await;
    for service in Service::BOTH {
        let replica = world.replica(service);
        replica.kill().await;
        let touched = store::execute(
            &replica.launch.database_url,
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99991231_235959_from_the_future', 0)",
        )
        .await;
        assert_eq!(touched, 1);
        replica.start();
        let status = replica.ended_within(Duration::from_secs(30)).await;
        let status = status.expect("it ends by itself");
        let log = replica.log_end();
        assert!(!status.success(), "{log}");
        assert!(
            log.contains("schema") && log.contains("newer"),
            "the refusal does not say why: {log}"
        );
    }
    world.dispose().await;
}
