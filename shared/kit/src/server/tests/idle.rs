//! When a connection without calls ends.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    frames::{GOAWAY, Http2, RST_STREAM},
    harness::{LIST, PATIENCE, TestServer, channel},
};
use crate::server::Limits;

/// A server that has little patience with idle connections, and none with those that were told to go.
fn server() -> TestServer {
    TestServer::within(Limits {
        handshake_timeout: Duration::from_millis(5),
        idle_timeout: Some(Duration::from_millis(30)),
        max_connection_age_grace: Duration::from_millis(30),
        message_timeout: None,
        ..Limits::default()
    })
}

/// Pings for as long as the server listens; whether it said goodbye.
async fn told_to_go(connection: &mut Http2) -> bool {
    let mut told = false;
    connection.ping().await;
    timeout(PATIENCE, async {
        while let Some(frame) = connection.next().await {
            told |= frame.kind == GOAWAY;
            if frame.is_pong() {
                connection.ping().await;
            }
        }
    })
    .await
    .expect("is closed");
    told
}

#[tokio::test]
async fn a_connection_without_calls_is_told_to_go_however_much_it_pings() {
    let server = server();
    let mut idle = Http2::connect(server.addresses.public).await;
    assert!(told_to_go(&mut idle).await);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_with_an_open_stream_is_not_idle() {
    let server = server();
    let mut health = HealthClient::new(channel(server.addresses.public));
    let request = HealthCheckRequest::default();
    let mut states = health.watch(request).await.expect("watches").into_inner();
    let first = states.next().await.expect("tells").expect("succeeds");
    assert_eq!(first.status(), ServingStatus::Serving);
    // Each of these came later and was idle for long enough.
    for _ in 0..4 {
        let mut other = Http2::connect(server.addresses.public).await;
        assert!(told_to_go(&mut other).await);
    }
    server.public_health.set_all(false);
    let second = timeout(PATIENCE, states.next()).await.expect("tells");
    let second = second.expect("is open").expect("succeeds");
    assert_eq!(second.status(), ServingStatus::NotServing);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_whose_call_was_given_up_is_idle_again() {
    let server = server();
    let mut connection = Http2::connect(server.addresses.public).await;
    connection.begin_call(1, LIST).await;
    let cancel = 8_u32.to_be_bytes();
    connection.send(RST_STREAM, 0, 1, &cancel).await;
    assert!(told_to_go(&mut connection).await);
    server.stop().await;
}

#[tokio::test]
async fn the_other_service_may_be_silent_on_its_connection() {
    let server = server();
    let mut peer = Http2::connect(server.addresses.internal).await;
    for _ in 0..4 {
        let mut stranger = Http2::connect(server.addresses.public).await;
        assert!(told_to_go(&mut stranger).await);
    }
    peer.ping().await;
    let frame = timeout(PATIENCE, peer.next()).await.expect("answers");
    assert!(frame.is_some_and(|frame| frame.is_pong()));
    server.stop().await;
}
