//! Calls whose message does not come.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use http::uri::PathAndQuery;
use identity_proto::auth::v1::{
    ListSessionsRequest, ListSessionsResponse, WatchRequest,
    access_feed_service_client::AccessFeedServiceClient,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{Request, Response, Status, client::Grpc};
use tonic_prost::ProstCodec;

use super::{
    frames::{HEADERS, Http2},
    harness::{LIST, PATIENCE, TestServer, channel, list, refused},
};
use crate::{server::Limits, status::ErrorReason};

/// A server with room for one call, that does not wait long for its message and would wait for ever for the rest.
fn server() -> TestServer {
    TestServer::within(Limits {
        max_calls: 1,
        max_call_time: PATIENCE * 100,
        message_timeout: Some(Duration::from_millis(50)),
        ..Limits::default()
    })
}

/// Sends the headers of a call of one message, and no message.
async fn headers_alone(server: &TestServer) -> Result<Response<ListSessionsResponse>, Status> {
    let mut silent = Grpc::new(channel(server.addresses.public));
    silent.ready().await.expect("connects");
    let nothing = Request::new(stream::pending::<ListSessionsRequest>());
    let path = PathAndQuery::from_static(LIST);
    let codec = ProstCodec::<_, ListSessionsResponse>::default();
    timeout(PATIENCE, silent.client_streaming(nothing, path, codec))
        .await
        .expect("is not waited for")
}

#[tokio::test]
async fn headers_without_a_message_do_not_hold_a_place() {
    let server = server();
    let mut silent = Http2::connect(server.addresses.public).await;
    silent.begin_call(1, LIST).await;
    timeout(PATIENCE, async {
        while server.client().list_sessions(list("ada")).await.is_err() {}
    })
    .await
    .expect("makes room");
    let answer = timeout(PATIENCE, async {
        while let Some(frame) = silent.next().await {
            if frame.kind == HEADERS {
                return frame.stream;
            }
        }
        0
    });
    assert_eq!(answer.await.expect("is answered"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_is_told_that_its_message_did_not_come() {
    let server = server();
    let status = refused(headers_alone(&server).await, ErrorReason::DeadlinePassed);
    assert_eq!(status.message(), "the message did not arrive in time");
    server.stop().await;
}

#[tokio::test]
async fn a_browser_is_told_so_too() {
    let server = server();
    let mut socket = TcpStream::connect(server.addresses.public)
        .await
        .expect("connects");
    let head = format!(
        "POST {LIST} HTTP/1.1\r\nhost: test\r\ncontent-type: application/grpc-web+proto\r\n\
         content-length: 5\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("writes");
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    read.expect("is not waited for").expect("reads");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_of_messages_may_take_its_time() {
    let server = server();
    let mut feed = AccessFeedServiceClient::new(channel(server.addresses.internal));
    let nothing = stream::pending::<WatchRequest>();
    let mut answers = feed.watch(nothing).await.expect("opens").into_inner();
    for _ in 0..3 {
        assert!(headers_alone(&server).await.is_err());
    }
    assert!(answers.next().now_or_never().is_none(), "is open");
    server.stop().await;
}
