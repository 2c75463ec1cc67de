//! An auth-service that knows what a test tells it: the access feed and `ValidateToken`, on loopback.

use std::{
    collections::{BTreeSet, HashMap},
    io::Write,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use identity_guard::{Clock, SystemClock, status::Failure};
use identity_proto::auth::v1::{
    self as wire, AccessChange, FeedCursor, FeedSource, SessionRevoked, SigningKey,
    SigningKeyState, SourceState, ValidateTokenRequest, ValidateTokenResponse, WatchRequest,
    WatchResponse,
    access_change::Change,
    access_feed_service_server::{AccessFeedService, AccessFeedServiceServer},
    auth_service_server::AuthServiceServer,
    watch_request::Message as Heard,
    watch_response::{Changes, Message as Say, Pong, Reset, Snapshot},
};
use tempfile::NamedTempFile;
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, watch},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::{
    ErrorReason,
    issuer::{Issuer, KEY_ID},
};

const SERVICE_KEY: &str = "the-service-key-of-the-notes-server";

pub(super) struct AuthService {
    issuer: Issuer,
    service_key_file: NamedTempFile,
    /// User and session of each token.
    issued: Mutex<HashMap<String, (String, String)>>,
    permissions: Mutex<HashMap<String, BTreeSet<String>>>,
    changes: broadcast::Sender<AccessChange>,
    acknowledged: watch::Sender<u64>,
}

impl AuthService {
    pub(super) fn new() -> Arc<Self> {
        let mut service_key_file = NamedTempFile::new().expect("file");
        service_key_file
            .write_all(SERVICE_KEY.as_bytes())
            .expect("write");
        Arc::new(Self {
            issuer: Issuer::new(),
            service_key_file,
            issued: Mutex::default(),
            permissions: Mutex::default(),
            changes: broadcast::Sender::new(16),
            acknowledged: watch::Sender::new(0),
        })
    }

    /// Serves until the test ends; the URL.
    pub(super) async fn serve(self: Arc<Self>) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        tokio::spawn(
            Server::builder()
                .add_service(AccessFeedServiceServer::from_arc(self.clone()))
                .add_service(AuthServiceServer::from_arc(self))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        url
    }

    pub(super) fn service_key_file(&self) -> &Path {
        self.service_key_file.path()
    }

    /// Gives a user a permission.
    pub(super) fn grant(&self, user_id: &str, permission: &str) {
        let mut permissions = self.permissions.lock().expect("lock");
        let held = permissions.entry(user_id.to_owned()).or_default();
        held.insert(permission.to_owned());
    }

    /// A token of a user.
    pub(super) fn issue(&self, user_id: &str, session_id: &str) -> String {
        let token = self.issuer.token(user_id, session_id);
        let owner = (user_id.to_owned(), session_id.to_owned());
        self.issued
            .lock()
            .expect("lock")
            .insert(token.clone(), owner);
        token
    }

    /// Ends a session, and waits until the watcher has applied that.
    pub(super) async fn end_session(&self, user_id: &str, session_id: &str) {
        let revision = *self.acknowledged.borrow() + 1;
        let retain_until = SystemClock.now().plus(Duration::from_hours(1));
        let change = AccessChange {
            position: Some(cursor(revision)),
            change: Some(Change::SessionRevoked(SessionRevoked {
                session_id: session_id.to_owned(),
                user_id: user_id.to_owned(),
                retain_until_time: Some(retain_until.into()),
            })),
        };
        self.changes.send(change).expect("a watcher");
        self.acknowledged(revision).await;
    }

    /// Waits until the watcher has applied everything up to a revision.
    pub(super) async fn acknowledged(&self, revision: u64) {
        let mut acknowledged = self.acknowledged.subscribe();
        let applied = acknowledged.wait_for(|applied| *applied >= revision);
        tokio::time::timeout(Duration::from_secs(20), applied)
            .await
            .expect("in time")
            .expect("the service is here");
    }

    /// What one watcher is told: all changes since the snapshot that it begins with.
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            signing_keys: vec![SigningKey {
                key_id: KEY_ID.to_owned(),
                algorithm: "ES256".to_owned(),
                state: SigningKeyState::Active.into(),
                public_jwk: self.issuer.jwk(),
                ..SigningKey::default()
            }],
            position: Some(cursor(1)),
            ..Snapshot::default()
        }
    }
}

fn cursor(revision: u64) -> FeedCursor {
    FeedCursor {
        epoch: "e".to_owned(),
        revision,
        nonce: format!("n{revision}"),
    }
}

/// The pong of a feed that is complete up to a revision at this moment.
fn pong(nonce: u64, revision: u64) -> Pong {
    Pong {
        nonce,
        sources: vec![SourceState {
            source: FeedSource::Auth.into(),
            position: Some(cursor(revision)),
            age: Some(prost_types::Duration::default()),
        }],
    }
}

#[tonic::async_trait]
impl AccessFeedService for AuthService {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let key = request.metadata().get("x-service-key");
        if key.is_none_or(|key| key != SERVICE_KEY) {
            return Err(Failure::new(ErrorReason::ServiceIdentityRequired, "").into());
        }
        let (answers, stream) = mpsc::channel(16);
        let mut asked = request.into_inner();
        let mut changes = self.changes.subscribe();
        let acknowledged = self.acknowledged.clone();
        let snapshot = self.snapshot();
        tokio::spawn(async move {
            let say = async |message| {
                let message = Some(message);
                answers.send(Ok(WatchResponse { message })).await
            };
            let mut revision = 1;
            say(Say::Reset(Reset {})).await?;
            say(Say::Snapshot(snapshot)).await?;
            loop {
                tokio::select! {
                    Ok(change) = changes.recv() => {
                        revision += 1;
                        say(Say::Changes(Changes { changes: vec![change] })).await?;
                    }
                    Ok(Some(request)) = asked.message() => match request.message {
                        Some(Heard::Ping(ping)) => say(Say::Pong(pong(ping.nonce, revision))).await?,
                        Some(Heard::Acknowledge(said)) => {
                            acknowledged.send_replace(said.position.map_or(0, |at| at.revision));
                        }
                        Some(Heard::Start(_)) | None => {}
                    },
                    else => return Ok::<(), mpsc::error::SendError<_>>(()),
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[tonic::async_trait]
impl wire::auth_service_server::AuthService for AuthService {
    async fn validate_token(
        &self,
        request: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenResponse>, Status> {
        let token = request.into_inner().access_token;
        let owner = self.issued.lock().expect("lock").get(&token).cloned();
        let (user_id, session_id) =
            owner.ok_or_else(|| Failure::new(ErrorReason::TokenInvalid, ""))?;
        let permissions = self.permissions.lock().expect("lock");
        let permissions = permissions.get(&user_id).into_iter().flatten();
        Ok(Response::new(ValidateTokenResponse {
            permissions: permissions.cloned().collect(),
            user_id,
            session_id,
            ..ValidateTokenResponse::default()
        }))
    }

    async fn login(
        &self,
        _: Request<wire::LoginRequest>,
    ) -> Result<Response<wire::LoginResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn continue_login(
        &self,
        _: Request<wire::ContinueLoginRequest>,
    ) -> Result<Response<wire::ContinueLoginResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn refresh_token(
        &self,
        _: Request<wire::RefreshTokenRequest>,
    ) -> Result<Response<wire::RefreshTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn logout(
        &self,
        _: Request<wire::LogoutRequest>,
    ) -> Result<Response<wire::LogoutResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
