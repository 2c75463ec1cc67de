//! A server on free ports with a small service behind it.

use std::{future::ready, net::SocketAddr, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use identity_guard::services::PeerInfo;
use identity_proto::auth::v1::{
    ListSessionsRequest, ListSessionsResponse, RevokeAllSessionsRequest, RevokeAllSessionsResponse,
    RevokeSessionRequest, RevokeSessionResponse, Session,
    access_feed_service_server::{AccessFeedService, AccessFeedServiceServer},
    session_service_client::SessionServiceClient,
    session_service_server::{SessionService, SessionServiceServer},
};
use identity_proto::auth::v1::{WatchRequest, WatchResponse};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tonic::{Request, Response, Status, Streaming, service::Routes, transport::Channel};

use crate::{
    context::{self, RequestId},
    health::Health,
    server::{Addresses, Limits, Listeners, ServeError, ServerBuilder},
    shutdown::Shutdown,
    status::{ErrorReason, reason_of},
};

pub(super) const LIST: &str = "/identity.auth.v1.SessionService/ListSessions";
const WATCH: &str = "/identity.auth.v1.AccessFeedService/Watch";

/// How long a test waits for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Answers by the user id that is asked for.
struct Sessions;

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        match request.get_ref().user_id.as_str() {
            "panic" => panic!("asked to"),
            "hang" => std::future::pending().await,
            "foreign" => Err(Status::data_loss("the driver says secret")),
            _ => Ok(Response::new(ListSessionsResponse {
                sessions: vec![seen(&request)],
                next_page_token: String::new(),
            })),
        }
    }

    async fn revoke_session(
        &self,
        _request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        Ok(Response::new(RevokeSessionResponse::default()))
    }

    async fn revoke_all_sessions(
        &self,
        _request: Request<RevokeAllSessionsRequest>,
    ) -> Result<Response<RevokeAllSessionsResponse>, Status> {
        Ok(Response::new(RevokeAllSessionsResponse::default()))
    }
}

/// What a handler sees of its call.
fn seen<T>(request: &Request<T>) -> Session {
    let sans = request
        .extensions()
        .get::<PeerInfo>()
        .map(|peer| peer.sans.to_vec());
    let id = request.extensions().get().map(RequestId::as_str);
    Session {
        id: id.unwrap_or_default().to_owned(),
        client_id: std::thread::current().name().unwrap_or_default().to_owned(),
        ip_address: context::peer_network(request),
        user_agent: context::user_agent(request),
        amr: sans.unwrap_or_default(),
        ..Session::default()
    }
}

/// A feed that says nothing until its requests break.
struct Feed;

#[tonic::async_trait]
impl AccessFeedService for Feed {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let broken = request
            .into_inner()
            .filter_map(|request| ready(request.err().map(Err)));
        Ok(Response::new(Box::pin(broken.chain(stream::pending()))))
    }
}

/// A server under test.
pub(super) struct TestServer {
    pub(super) addresses: Addresses,
    pub(super) shutdown: Shutdown,
    pub(super) public_health: Health,
    pub(super) internal_health: Health,
    pub(super) ended: JoinHandle<Result<(), ServeError>>,
}

impl TestServer {
    /// A server with the usual settings.
    pub(super) fn start() -> Self {
        Self::start_with(|builder| builder)
    }

    /// A server within these limits.
    pub(super) fn within(limits: Limits) -> Self {
        Self::start_with(|builder| builder.limits(limits))
    }

    /// A server with settings of the test's own.
    pub(super) fn start_with(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let listeners = Listeners::on_free_ports().expect("free ports");
        let addresses = listeners.addresses().expect("bound");
        let names = ["identity.auth.v1.SessionService"];
        let public_health = Health::new(names);
        let internal_health = Health::new(names);
        public_health.set_all(true);
        internal_health.set_all(true);
        let rpcs = Routes::new(SessionServiceServer::new(Sessions));
        let document = axum::Router::new().route(
            "/.well-known/jwks.json",
            axum::routing::get(|| async { r#"{"keys":[]}"# }),
        );
        let builder = ServerBuilder::new(listeners)
            .public(rpcs.clone(), document)
            .internal(rpcs.add_service(AccessFeedServiceServer::new(Feed)))
            .health(public_health.clone(), internal_health.clone())
            .reflection(true, &names)
            .endless(&[WATCH])
            .drain(Duration::ZERO, Duration::from_millis(300));
        let shutdown = Shutdown::manual();
        let ended = tokio::spawn(change(builder).serve(shutdown.clone()));
        Self {
            addresses,
            shutdown,
            public_health,
            internal_health,
            ended,
        }
    }

    /// A client of the public listener.
    pub(super) fn client(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(channel(self.addresses.public))
    }

    /// Asks to stop, and waits for it.
    pub(super) async fn stop(self) {
        self.shutdown.start();
        tokio::time::timeout(PATIENCE, self.ended)
            .await
            .expect("ends within its bound")
            .expect("does not panic")
            .expect("started");
    }
}

/// The operators' page of metrics.
pub(super) async fn metrics(admin: SocketAddr) -> String {
    let mut socket = TcpStream::connect(admin).await.expect("connects");
    let head = b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    socket.write_all(head).await.expect("writes");
    let mut text = String::new();
    socket.read_to_string(&mut text).await.expect("reads");
    text
}

/// A lazy connection to an address.
pub(super) fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}"))
        .expect("an address")
        .connect_lazy()
}

/// A request for the sessions of a user id.
pub(super) fn list(user_id: &str) -> Request<ListSessionsRequest> {
    Request::new(ListSessionsRequest {
        user_id: user_id.to_owned(),
        ..ListSessionsRequest::default()
    })
}

/// Asserts that a call failed for a reason, and gives its status back.
pub(super) fn refused<T>(answer: Result<T, Status>, reason: ErrorReason) -> Status {
    let Err(status) = answer else {
        panic!("expected {reason:?}, and the call succeeded")
    };
    assert_eq!(reason_of(&status), Some(reason), "{status:?}");
    assert_eq!(status.code(), crate::status::code_of(reason));
    status
}
