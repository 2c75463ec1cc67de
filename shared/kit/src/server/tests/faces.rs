//! The other languages of the listeners: HTTP/1.1, gRPC-Web, health, and the operators' pages.

use std::net::SocketAddr;

use futures_util::StreamExt;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::harness::{LIST, TestServer, channel, list, refused};
use crate::status::ErrorReason;

/// Sends bytes over a connection of their own, and reads all that comes back.
async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.expect("connects");
    socket.write_all(head.as_bytes()).await.expect("writes");
    socket.write_all(body).await.expect("writes");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("reads");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(address: SocketAddr, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    exchange(address, &head, b"").await
}

#[tokio::test]
async fn documents_and_grpc_web_answer_over_http_1_beside_grpc() {
    let server = TestServer::start();
    let public = server.addresses.public;
    let document = get(public, "/.well-known/jwks.json").await;
    assert!(document.starts_with("HTTP/1.1 200"), "{document}");
    assert!(document.ends_with(r#"{"keys":[]}"#), "{document}");
    assert!(document.contains("x-request-id: "), "{document}");
    assert!(get(public, "/nothing").await.starts_with("HTTP/1.1 404"));

    let web = call(public, "application/grpc-web+proto", "ada", "9S").await;
    assert!(web.starts_with("HTTP/1.1 200"), "{web}");
    assert!(web.contains("grpc-status:0"), "{web}");
    assert!(web.contains("web-1"), "{web}");
    let wrong = call(public, "application/json", "ada", "9S").await;
    assert!(wrong.starts_with("HTTP/1.1 415"), "{wrong}");

    server
        .client()
        .list_sessions(list("ada"))
        .await
        .expect("gRPC answers too");
    server.stop().await;
}

/// Calls `ListSessions` over HTTP/1.1 with a deadline.
async fn call(address: SocketAddr, content_type: &str, user_id: &str, timeout: &str) -> String {
    let message = list(user_id).into_inner().encode_to_vec();
    let length = u32::try_from(message.len()).expect("is short");
    let frame = [&[0][..], &length.to_be_bytes(), &message].concat();
    let head = format!(
        "POST {LIST} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         x-request-id: web-1\r\ngrpc-timeout: {timeout}\r\ncontent-length: {}\r\n\r\n",
        frame.len()
    );
    exchange(address, &head, &frame).await
}

#[tokio::test]
async fn metrics_count_calls_by_code_and_collapse_unknown_methods() {
    let server = TestServer::start();
    server
        .client()
        .list_sessions(list("ada"))
        .await
        .expect("answers");
    let mut wrong = tonic::client::Grpc::new(channel(server.addresses.public));
    wrong.ready().await.expect("connects");
    let path = http::uri::PathAndQuery::from_static("/made.Up/Name");
    let codec = tonic_prost::ProstCodec::<_, ()>::default();
    refused(
        wrong.unary(list("ada"), path, codec).await,
        ErrorReason::MethodNotFound,
    );
    let metrics = get(server.addresses.admin, "/metrics").await;
    let line = |method: &str, service: &str, code: &str| {
        format!(
            "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"{method}\",\
             grpc_service=\"{service}\",grpc_type=\"unary\"}} 1"
        )
    };
    let known = line("ListSessions", "identity.auth.v1.SessionService", "OK");
    assert!(metrics.contains(&known), "{metrics}");
    assert!(
        metrics.contains(&line("_OTHER", "_OTHER", "Unimplemented")),
        "{metrics}"
    );
    assert!(!metrics.contains("made.Up"), "{metrics}");
    server.stop().await;
}

// Over gRPC-Web, since the library's own client would end the call itself.
#[tokio::test]
async fn the_callers_deadline_ends_a_call() {
    let server = TestServer::start();
    let late = call(
        server.addresses.public,
        "application/grpc-web",
        "hang",
        "20m",
    )
    .await;
    assert!(late.contains("grpc-status: 4\r\n"), "{late}");
    server.stop().await;
}

#[tokio::test]
async fn readiness_is_the_internal_listeners_health() {
    let server = TestServer::start();
    let admin = server.addresses.admin;
    server.public_health.set_all(false);
    let ready = get(admin, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(
        ready.ends_with("internal: SERVING\npublic: NOT_SERVING\n"),
        "{ready}"
    );
    server.internal_health.set_all(false);
    assert!(get(admin, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get(admin, "/livez").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn each_listener_tells_its_own_health_and_its_changes() {
    let server = TestServer::start();
    let ask = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut public = HealthClient::new(channel(server.addresses.public));
    let mut internal = HealthClient::new(channel(server.addresses.internal));
    let mut states = public.watch(ask("")).await.expect("watches").into_inner();
    let mut unknown = public
        .watch(ask("no.Service"))
        .await
        .expect("watches")
        .into_inner();
    let first = states.next().await.expect("tells").expect("succeeds");
    assert_eq!(first.status(), ServingStatus::Serving);
    let first = unknown.next().await.expect("tells").expect("succeeds");
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    refused(public.check(ask("no.Service")).await, ErrorReason::NotFound);

    server.public_health.set_all(false);
    let second = states.next().await.expect("tells").expect("succeeds");
    assert_eq!(second.status(), ServingStatus::NotServing);
    let other = internal.check(ask("")).await.expect("answers");
    assert_eq!(other.get_ref().status(), ServingStatus::Serving);
    server.stop().await;
}
