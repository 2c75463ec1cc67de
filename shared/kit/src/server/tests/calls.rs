//! What callers see of the layers.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use http::{Response, uri::PathAndQuery};
use identity_proto::auth::v1::ListSessionsResponse;
use tonic::{Request, Status, body::Body, client::Grpc};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use tower::layer::layer_fn;

use super::harness::{LIST, TestServer, channel, list, refused};
use crate::{
    server::{Limits, RpcService},
    status::{ErrorReason, Failure},
};

#[tokio::test]
async fn a_callers_request_id_is_echoed_and_a_bad_one_replaced() {
    let server = TestServer::start();
    let mut request = list("ada");
    request
        .metadata_mut()
        .insert("x-request-id", "job-7.a_B".parse().expect("ASCII"));
    let answer = server
        .client()
        .list_sessions(request)
        .await
        .expect("answers");
    assert_eq!(
        answer.metadata().get("x-request-id").expect("echoed"),
        "job-7.a_B"
    );
    assert_eq!(answer.get_ref().sessions[0].id, "job-7.a_B");

    let mut request = list("ada");
    request
        .metadata_mut()
        .insert("x-request-id", "no spaces".parse().expect("ASCII"));
    let answer = server
        .client()
        .list_sessions(request)
        .await
        .expect("answers");
    let id = answer.metadata().get("x-request-id").expect("made").clone();
    assert_ne!(id, "no spaces");
    assert_eq!(answer.get_ref().sessions[0].id, id.to_str().expect("ASCII"));
    server.stop().await;
}

#[tokio::test]
async fn handlers_see_the_socket_and_not_what_headers_claim() {
    let server = TestServer::start();
    let mut request = list("ada");
    request
        .metadata_mut()
        .insert("x-forwarded-for", "203.0.113.9".parse().expect("ASCII"));
    let answer = server
        .client()
        .list_sessions(request)
        .await
        .expect("answers")
        .into_inner();
    assert_eq!(answer.sessions[0].ip_address, "127.0.0.1/32");
    assert!(answer.sessions[0].user_agent.starts_with("tonic/"));
    server.stop().await;
}

#[tokio::test]
async fn calls_leave_the_threads_of_the_connections() {
    let server = TestServer::start();
    let dispatched = server
        .client()
        .list_sessions(list("ada"))
        .await
        .expect("answers");
    assert!(
        !dispatched.get_ref().sessions[0]
            .client_id
            .starts_with("identity-io-")
    );
    server.stop().await;
}

#[tokio::test]
async fn calls_of_a_short_method_stay_there() {
    let server = TestServer::start_with(|builder| builder.short(&[LIST]));
    let stayed = server
        .client()
        .list_sessions(list("ada"))
        .await
        .expect("answers");
    assert!(
        stayed.get_ref().sessions[0]
            .client_id
            .starts_with("identity-io-")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_call_without_a_deadline_gets_the_servers() {
    let server = TestServer::within(Limits {
        max_call_time: Duration::from_millis(20),
        ..Limits::default()
    });
    let answer = server.client().list_sessions(list("hang")).await;
    refused(answer, ErrorReason::DeadlinePassed);
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_deadline_is_refused_and_named() {
    let server = TestServer::start();
    let mut request = list("ada");
    request
        .metadata_mut()
        .insert("grpc-timeout", "1.5S".parse().expect("ASCII"));
    let answer = server.client().list_sessions(request).await;
    let status = refused(answer, ErrorReason::InvalidFields);
    let details = status.get_details_bad_request().expect("names the field");
    assert_eq!(details.field_violations[0].field, "grpc-timeout");
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_the_callers_mistake() {
    let server = TestServer::start();
    let mut wrong = Grpc::new(channel(server.addresses.public));
    wrong.ready().await.expect("connects");
    let path = PathAndQuery::from_static(LIST);
    // A number where the contract has a text.
    let answer = wrong
        .unary(
            Request::new(7_u64),
            path,
            ProstCodec::<_, ListSessionsResponse>::default(),
        )
        .await;
    refused(answer, ErrorReason::MalformedMessage);
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_method_is_told_as_such() {
    let server = TestServer::start();
    for path in [
        "/identity.auth.v1.SessionService/Nothing",
        "/no.Service/Nothing",
    ] {
        let mut wrong = Grpc::new(channel(server.addresses.public));
        wrong.ready().await.expect("connects");
        let path = PathAndQuery::from_static(path);
        let answer = wrong
            .unary(list("ada"), path, ProstCodec::<_, ()>::default())
            .await;
        refused(answer, ErrorReason::MethodNotFound);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_defect_with_its_request_id_and_the_server_goes_on() {
    let server = TestServer::start();
    let mut client = server.client();
    let mut request = list("panic");
    request
        .metadata_mut()
        .insert("x-request-id", "q1".parse().expect("ASCII"));
    let status = refused(client.list_sessions(request).await, ErrorReason::Internal);
    assert_eq!(
        status.get_details_request_info().expect("named").request_id,
        "q1"
    );
    assert_eq!(status.metadata().get("x-request-id").expect("echoed"), "q1");
    client
        .list_sessions(list("ada"))
        .await
        .expect("the same connection goes on");
    server.stop().await;
}

#[tokio::test]
async fn a_foreign_status_tells_nothing() {
    let server = TestServer::start();
    let answer = server.client().list_sessions(list("foreign")).await;
    let status = refused(answer, ErrorReason::Internal);
    assert!(!format!("{status:?}").contains("secret"), "{status:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_guard_stands_before_the_rpcs_and_not_before_health() {
    let server = TestServer::start_with(|builder| builder.guard(layer_fn(Refuse)));
    let answer = server.client().list_sessions(list("ada")).await;
    refused(answer, ErrorReason::TokenMissing);
    let mut health = HealthClient::new(channel(server.addresses.public));
    let answer = health
        .check(HealthCheckRequest::default())
        .await
        .expect("answers");
    assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    server.stop().await;
}

#[derive(Clone)]
struct Refuse(#[expect(dead_code, reason = "a guard that lets nothing through")] RpcService);

impl tower::Service<http::Request<Body>> for Refuse {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: http::Request<Body>) -> Self::Future {
        let failure = Failure::new(ErrorReason::TokenMissing, "no token");
        ready(Ok(Status::from(failure).into_http()))
    }
}
