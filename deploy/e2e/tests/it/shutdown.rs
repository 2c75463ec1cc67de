//! SIGTERM under load: what was accepted is answered, and the process ends within its bound.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use identity_dev::{api::Api, health, service::Service};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_stream::StreamExt;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{
    Person, Store, World,
    person::{self, validate},
};

on_both_stores!(
    user_service_ends_cleanly_under_load,
    auth_service_ends_cleanly_under_load,
);

/// The bound that the services are given, in seconds.
const DRAIN_SECONDS: u64 = 5;

async fn user_service_ends_cleanly_under_load(store: Store) {
    ends_cleanly(store, Service::User).await;
}

async fn auth_service_ends_cleanly_under_load(store: Store) {
    ends_cleanly(store, Service::Auth).await;
}

async fn ends_cleanly(store: Store, service: Service) {
    let mut world = World::prepared(store).await;
    world.replica(service).launch.extra = vec![format!("--drain-timeout-seconds={DRAIN_SECONDS}")];
    world.start().await;
    let person = world.person("ada").await;
    let tokens = person.log_in(&world.api).await.unwrap();

    // A client that never says a word, and a stream that stays open.
    let address = world.replica(service).launch.endpoints.public;
    let silent = TcpStream::connect(address).await.unwrap();
    let watch = watch(&world.replica(service).channel, service).await;

    let load = Load {
        person,
        access_token: tokens.access_token,
        answered: AtomicUsize::new(0),
        ending: AtomicBool::new(false),
    };
    let load = Arc::new(load);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        // A connection each, as from eight clients.
        let api = Api {
            user: health::channel(world.user.launch.endpoints.public).unwrap(),
            auth: health::channel(world.auth.launch.endpoints.public).unwrap(),
        };
        callers.spawn(Arc::clone(&load).call_until_refused(api, service));
    }
    while load.answered.load(Ordering::Relaxed) < 200 {
        sleep(Duration::from_millis(5)).await;
    }

    load.ending.store(true, Ordering::SeqCst);
    let replica = world.replica(service);
    let begin = Instant::now();
    replica.terminate();
    let bound = Duration::from_secs(DRAIN_SECONDS + 5);
    let status = replica.ended_within(bound).await;
    let status = status.expect("the process ends within its bound");
    assert!(status.success(), "{status}: {}", replica.log_end());
    // The service's own word: every call that it had accepted was answered before its connection ended.
    assert!(
        !replica.log_end().contains("cut off"),
        "{}",
        replica.log_end()
    );
    callers.join_all().await;
    watch.await.unwrap();
    drop(silent);
    assert!(begin.elapsed() < bound);
    world.dispose().await;
}

/// What the callers share.
struct Load {
    person: Person,
    access_token: String,
    answered: AtomicUsize,
    ending: AtomicBool,
}

impl Load {
    /// Calls until the service no longer accepts; every failure before or other than that fails the test.
    async fn call_until_refused(self: Arc<Self>, api: Api, service: Service) {
        for turn in 0_usize.. {
            let outcome = match service {
                Service::User => self.person.read_self(&api, &self.access_token).await,
                // Every fourth is a login: a call that takes long.
                Service::Auth if turn % 4 == 0 => self.person.log_in(&api).await.map(drop),
                Service::Auth => validate(&api, &self.access_token).await,
            };
            match outcome {
                Ok(()) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(status) => {
                    assert!(
                        self.ending.load(Ordering::SeqCst),
                        "failed while serving: {status:?}"
                    );
                    assert!(was_not_accepted(&status), "cut off: {status:?}");
                    return;
                }
            }
        }
    }
}

/// How the client's HTTP/2 library words a connection that the server ended in order.
const GOING_AWAY: &str = "connection error received: not a result of an error";

/// Whether the call never reached a handler: no connection, a stream that the server did not take, or a request
/// that was still waiting in the client when its connection closed.
fn was_not_accepted(status: &Status) -> bool {
    let mut causes = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        causes.push_str(": ");
        causes.push_str(&error.to_string());
        source = error.source();
    }
    match status.code() {
        // Neither an answer that broke off nor a refusal by a handler.
        Code::Unavailable => {
            !causes.contains("reading a body") && person::reason_of(status).is_none()
        }
        Code::Cancelled => causes.ends_with("connection closed"),
        // The stream came after the last one that the server announced to answer (RFC 9113, 6.8).
        Code::Internal => causes.contains(GOING_AWAY),
        _ => false,
    }
}

/// Watches the health of a service until the server ends the stream.
async fn watch(channel: &Channel, service: Service) -> tokio::task::JoinHandle<()> {
    let request = HealthCheckRequest {
        service: service.ready_name().to_owned(),
    };
    let mut client = HealthClient::new(channel.clone());
    let mut stream = client.watch(request).await.unwrap().into_inner();
    assert!(stream.next().await.unwrap().is_ok());
    tokio::spawn(async move { while stream.next().await.is_some_and(|item| item.is_ok()) {} })
}
