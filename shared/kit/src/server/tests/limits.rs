//! What the limits refuse.

use std::time::Duration;

use http::uri::PathAndQuery;
use identity_proto::auth::v1::{
    ListSessionsResponse, session_service_client::SessionServiceClient,
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tonic::{Code, client::Grpc};
use tonic_prost::ProstCodec;

use super::harness::{LIST, PATIENCE, TestServer, channel, list, refused};
use crate::{
    server::{Limits, MAX_MESSAGE_BYTES},
    status::ErrorReason,
};

#[tokio::test]
async fn a_message_beyond_the_limit_is_told_as_such() {
    let server = TestServer::start();
    let mut large = Grpc::new(channel(server.addresses.public))
        .max_encoding_message_size(2 * MAX_MESSAGE_BYTES);
    large.ready().await.expect("connects");
    let request = list(&"a".repeat(MAX_MESSAGE_BYTES + 1));
    let path = PathAndQuery::from_static(LIST);
    let answer = large
        .unary(
            request,
            path,
            ProstCodec::<_, ListSessionsResponse>::default(),
        )
        .await;
    refused(answer, ErrorReason::MessageTooLarge);
    server.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_told_when_to_come_back() {
    let server = TestServer::within(Limits {
        max_calls: 1,
        ..Limits::default()
    });
    let mut first = server.client();
    // It may be refused too, for as long as the other calls come first.
    let hanging = tokio::spawn(async move {
        loop {
            drop(first.list_sessions(list("hang")).await);
        }
    });
    // The first call has arrived once the second one finds no room.
    let refusal = timeout(PATIENCE, async {
        loop {
            if let Err(status) = server.client().list_sessions(list("ada")).await {
                break status;
            }
        }
    })
    .await
    .expect("refuses");
    let refusal = refused(Err::<(), _>(refusal), ErrorReason::Overloaded);
    assert!(tonic_types::StatusExt::get_details_retry_info(&refusal).is_some());
    hanging.abort();
    timeout(PATIENCE, async {
        while server.client().list_sessions(list("ada")).await.is_err() {}
    })
    .await
    .expect("a caller who leaves makes room");
    server.stop().await;
}

#[tokio::test]
async fn a_full_public_listener_takes_no_place_of_the_internal_one() {
    let server = TestServer::within(Limits {
        max_calls: 1,
        ..Limits::default()
    });
    let mut first = server.client();
    let hanging = tokio::spawn(async move {
        loop {
            drop(first.list_sessions(list("hang")).await);
        }
    });
    timeout(PATIENCE, async {
        while server.client().list_sessions(list("ada")).await.is_ok() {}
    })
    .await
    .expect("the public listener is full");
    SessionServiceClient::new(channel(server.addresses.internal))
        .list_sessions(list("ada"))
        .await
        .expect("the internal listener has room");
    hanging.abort();
    server.stop().await;
}

#[tokio::test]
async fn metadata_beyond_the_limit_is_refused() {
    let server = TestServer::start();
    let mut request = list("ada");
    let value = "a".repeat(20_000).parse().expect("ASCII");
    request.metadata_mut().insert("x-large", value);
    let mut client = server.client();
    let answer = client.list_sessions(request).await;
    assert_ne!(answer.expect_err("is refused").code(), Code::Ok);
    server
        .client()
        .list_sessions(list("ada"))
        .await
        .expect("the server goes on");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_at_once() {
    let server = TestServer::within(Limits {
        max_connections: 1,
        // Nothing else closes a connection that says nothing.
        handshake_timeout: PATIENCE * 10,
        ..Limits::default()
    });
    let mut first = server.client();
    first.list_sessions(list("ada")).await.expect("has room");
    let mut second = TcpStream::connect(server.addresses.public)
        .await
        .expect("connects");
    let read = timeout(PATIENCE, second.read(&mut [0; 1]))
        .await
        .expect("is closed");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    first
        .list_sessions(list("ada"))
        .await
        .expect("keeps its place");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = TestServer::within(Limits {
        handshake_timeout: Duration::from_millis(20),
        ..Limits::default()
    });
    let mut silent = TcpStream::connect(server.addresses.public)
        .await
        .expect("connects");
    let read = timeout(PATIENCE, silent.read(&mut [0; 1]))
        .await
        .expect("is closed");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_old_connection_is_ended_and_its_client_comes_back() {
    let server = TestServer::within(Limits {
        handshake_timeout: Duration::from_millis(20),
        max_connection_age: Duration::from_millis(20),
        max_connection_age_grace: Duration::from_millis(20),
        ..Limits::default()
    });
    let mut client = server.client();
    for _ in 0..3 {
        let hanging = timeout(PATIENCE, client.list_sessions(list("hang"))).await;
        assert!(hanging.expect("is cut off").is_err());
        // A call may meet the very end of its connection, which the client's library tells as UNAVAILABLE or such.
        timeout(PATIENCE, async {
            while client.list_sessions(list("ada")).await.is_err() {}
        })
        .await
        .expect("the same client is answered on a new connection");
    }
    server.stop().await;
}
