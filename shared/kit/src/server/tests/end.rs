//! The end of a server: within its bound, whatever its clients do.

use std::time::Duration;

use futures_util::StreamExt;
use identity_proto::auth::v1::{WatchRequest, access_feed_service_client::AccessFeedServiceClient};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::harness::{PATIENCE, TestServer, channel, list, metrics, refused};
use crate::{
    health::{ProbeError, probe},
    server::Limits,
    status::ErrorReason,
};

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let server = TestServer::start_with(|builder| builder.drain(Duration::ZERO, PATIENCE * 2));
    let mut client = server.client();
    client.list_sessions(list("ada")).await.expect("answers");
    server.stop().await;
}

#[tokio::test]
async fn an_open_stream_and_a_silent_client_do_not_hold_the_end_up() {
    let server = TestServer::start();
    let mut feed = AccessFeedServiceClient::new(channel(server.addresses.internal));
    let requests = futures_util::stream::pending::<WatchRequest>();
    let mut stream = feed.watch(requests).await.expect("opens").into_inner();
    let mut silent = TcpStream::connect(server.addresses.public)
        .await
        .expect("connects");
    let begun = Instant::now();
    server.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let last = timeout(PATIENCE, stream.next()).await.expect("ends");
    assert!(!matches!(last, Some(Ok(_))));
    let read = timeout(PATIENCE, silent.read(&mut [0; 1]))
        .await
        .expect("is closed");
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_call_that_was_accepted_is_finished() {
    let server = TestServer::start_with(|builder| {
        builder.drain(Duration::ZERO, PATIENCE * 2).limits(Limits {
            max_call_time: Duration::from_millis(500),
            ..Limits::default()
        })
    });
    let mut client = server.client();
    client.list_sessions(list("ada")).await.expect("connects");
    let call = tokio::spawn(async move { client.list_sessions(list("hang")).await });
    // The operators' page shows the call as begun.
    let admin = server.addresses.admin;
    timeout(PATIENCE, async { while !begun_twice(admin).await {} })
        .await
        .expect("arrives");
    server.shutdown.start();
    // Cut off, it would have ended with another reason.
    refused(call.await.expect("runs"), ErrorReason::DeadlinePassed);
    server.stop().await;
}

async fn begun_twice(admin: std::net::SocketAddr) -> bool {
    metrics(admin).await.lines().any(|line| {
        line.starts_with("grpc_server_started_total")
            && line.contains("ListSessions")
            && line.ends_with(" 2")
    })
}

#[tokio::test]
async fn health_says_not_serving_and_then_ends_its_streams() {
    let server = TestServer::start();
    let mut health = HealthClient::new(channel(server.addresses.public));
    let request = HealthCheckRequest::default();
    let mut states = health.watch(request).await.expect("watches").into_inner();
    let first = states.next().await.expect("tells").expect("succeeds");
    assert_eq!(first.status(), ServingStatus::Serving);
    server.shutdown.start();
    let mut last = None;
    while let Some(Ok(state)) = timeout(PATIENCE, states.next()).await.expect("ends") {
        last = Some(state.status());
    }
    assert_eq!(last, Some(ServingStatus::NotServing));
    server.stop().await;
}

#[tokio::test]
async fn calls_are_accepted_during_the_delay() {
    let server = TestServer::start_with(|builder| builder.drain(PATIENCE * 2, PATIENCE * 2));
    server
        .client()
        .list_sessions(list("ada"))
        .await
        .expect("answers");
    server.shutdown.start();
    let address = server.addresses.public;
    timeout(PATIENCE, async {
        let timeout = Duration::from_secs(5);
        while !matches!(
            probe(address, None, "", timeout).await,
            Err(ProbeError::NotServing)
        ) {}
    })
    .await
    .expect("says so");
    server
        .client()
        .list_sessions(list("ada"))
        .await
        .expect("is still accepted");
    // The second stage waits for nothing.
    server.shutdown.force();
    server.stop().await;
}
