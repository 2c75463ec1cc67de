//! A world of one database, one clock and one directory, and services that are started in it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use auth_service::{
    app::{App, DirectorySource, StartError},
    config::Config,
    domain::account::{AccountStatus, PasswordHash},
    store::migration::Migrator,
};
use identity_guard::{
    clock::{Clock, ManualClock, SystemClock},
    services::SERVICE_KEY_HEADER,
    status::{ErrorReason, reason_of},
};
use identity_kit::{
    entropy::SystemEntropy,
    password::{HashPool, NewPassword, PasswordPolicy},
    server::{Addresses, Listeners},
    shutdown::Shutdown,
    testing::{TestDatabase, databases},
};
use identity_proto::auth::v1::{
    LoginRequest, LoginResponse, LogoutRequest, RefreshTokenRequest, TokenSet,
    ValidateTokenRequest, ValidateTokenResponse,
    access_feed_service_client::AccessFeedServiceClient, auth_service_client::AuthServiceClient,
    login_response, session_service_client::SessionServiceClient,
};
use tempfile::TempDir;
use tonic::{Code, Request, Status, transport::Channel};

use crate::directory::{Directory, User};

pub(crate) const PASSWORD: &str = "violet tractor ledger mosaic";
pub(crate) const NEW_PASSWORD: &str = "copper lantern drifting sideways";
pub(crate) const ADA: &str = "ada000000000000000000000";
pub(crate) const BOB: &str = "bob000000000000000000000";
/// More than lies between two heartbeats of the feed, and more than lies between two looks at it.
const HEARTBEAT: Duration = Duration::from_millis(1_100);
const POLL: Duration = Duration::from_millis(60);
const SERVICE_KEY: &str = "a-service-key-of-more-than-thirty-two-bytes";

/// One database, one clock, one directory.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<ManualClock>,
    folder: TempDir,
}

/// A running service and clients of it.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) auth: AuthServiceClient<Channel>,
    pub(crate) sessions: SessionServiceClient<Channel>,
    shutdown: Shutdown,
}

/// A world on each engine.
pub(crate) async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for database in databases::<Migrator>().await {
        worlds.push(World::new(database).await);
    }
    worlds
}

impl World {
    pub(crate) async fn new(database: TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root"), [7; 32]).unwrap();
        std::fs::write(folder.path().join("service-key"), SERVICE_KEY).unwrap();
        let directory = Arc::new(Directory::default());
        let hash = hash(PASSWORD).await;
        for (id, name) in [(ADA, "ada"), (BOB, "bob")] {
            directory.put(
                id,
                User {
                    username: name.to_owned(),
                    email: format!("{name}@example.org"),
                    hash: Some(hash.clone()),
                    version: 1,
                    change_required: false,
                    status: AccountStatus::Active,
                    roles: vec!["editor".to_owned()],
                    roles_end_at: None,
                    permissions: vec!["users.read".to_owned()],
                },
            );
        }
        Self {
            database,
            directory,
            clock: Arc::new(ManualClock::new(SystemClock.now())),
            folder,
        }
    }

    pub(crate) fn config(&self, more: &[&str]) -> Config {
        let root = self.file("root");
        let identity = format!(
            "guard;scopes=access_feed;key-file={}",
            self.file("service-key").display()
        );
        let mut args = vec![
            "auth-service",
            "--database-url",
            self.database.url(),
            "--root-secret-file",
            root.to_str().unwrap(),
            "--service-identity",
            &identity,
            "--io-threads=1",
            "--drain-timeout-seconds=1",
        ];
        // Hashes that cost nothing, unless the test is about their cost.
        for cheap in ["--password-memory-kib=8", "--password-passes=1"] {
            let (flag, _) = cheap.split_once('=').unwrap();
            if !more.iter().any(|arg| arg.starts_with(flag)) {
                args.push(cheap);
            }
        }
        args.extend(more);
        Config::program().try_parse_from(args).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn start(&self) -> Service {
        self.start_with(&[]).await
    }

    pub(crate) async fn start_with(&self, more: &[&str]) -> Service {
        let shutdown = Shutdown::manual();
        let app = self.try_start(shutdown.clone(), more).await.unwrap();
        let channel = channel(app.addresses());
        let service = Service {
            app,
            auth: AuthServiceClient::new(channel.clone()),
            sessions: SessionServiceClient::new(channel),
            shutdown,
        };
        // On PostgreSQL a heartbeat that is newer than the last one proves the feed fresh, and time stands still here.
        eventually("the feed is followed", async || {
            self.clock.advance(HEARTBEAT);
            tokio::time::sleep(POLL).await;
            service.app.authority().state.is_fresh()
        })
        .await;
        service
    }
}

impl World {
    pub(crate) async fn try_start(
        &self,
        shutdown: Shutdown,
        more: &[&str],
    ) -> Result<App, StartError> {
        App::start(
            Listeners::on_free_ports().unwrap(),
            shutdown,
            self.clock.clone(),
            Arc::new(SystemEntropy),
            prometheus::Registry::new(),
            &self.config(more),
            DirectorySource::Given(self.directory.clone()),
        )
        .await
    }
}

fn channel(addresses: Addresses) -> Channel {
    Channel::from_shared(format!("http://{}", addresses.public))
        .unwrap()
        .connect_lazy()
}

impl Service {
    pub(crate) async fn stop(self) {
        self.shutdown.start();
        drop((self.auth, self.sessions));
        self.app.ended().await.unwrap();
    }

    pub(crate) async fn try_login(
        &self,
        identifier: &str,
        password: &str,
    ) -> Result<LoginResponse, Status> {
        let request = LoginRequest {
            identifier: identifier.to_owned(),
            password: password.to_owned(),
            ..LoginRequest::default()
        };
        Ok(self.auth.clone().login(request).await?.into_inner())
    }

    pub(crate) async fn login(&self, identifier: &str) -> TokenSet {
        match self.try_login(identifier, PASSWORD).await.unwrap().result {
            Some(login_response::Result::Tokens(tokens)) => tokens,
            _ => panic!("a challenge instead of tokens"),
        }
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<TokenSet, Status> {
        self.refresh_with(token, "").await
    }

    pub(crate) async fn refresh_with(
        &self,
        token: &str,
        request_id: &str,
    ) -> Result<TokenSet, Status> {
        let request = RefreshTokenRequest {
            refresh_token: token.to_owned(),
            request_id: request_id.to_owned(),
            ..RefreshTokenRequest::default()
        };
        let answer = self.auth.clone().refresh_token(request).await?;
        Ok(answer.into_inner().tokens.unwrap())
    }

    pub(crate) async fn validate(&self, token: &str) -> Result<ValidateTokenResponse, Status> {
        let request = ValidateTokenRequest {
            access_token: token.to_owned(),
            ..ValidateTokenRequest::default()
        };
        Ok(self
            .auth
            .clone()
            .validate_token(request)
            .await?
            .into_inner())
    }

    pub(crate) async fn logout(&self, token: &str) -> Result<(), Status> {
        let request = as_user(token, LogoutRequest {});
        self.auth.clone().logout(request).await.map(drop)
    }

    /// The feed on the internal listener.
    pub(crate) fn feed(&self) -> AccessFeedServiceClient<Channel> {
        let url = format!("http://{}", self.app.addresses().internal);
        AccessFeedServiceClient::new(Channel::from_shared(url).unwrap().connect_lazy())
    }
}

/// A call with an access token.
pub(crate) fn as_user<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// A call with the service key.
pub(crate) fn as_service<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let key = SERVICE_KEY.parse().unwrap();
    request.metadata_mut().insert(SERVICE_KEY_HEADER, key);
    request
}

pub(crate) async fn hash(password: &str) -> PasswordHash {
    let policy = PasswordPolicy {
        m_kib: 8,
        t: 1,
        p: 1,
    };
    let pool = HashPool::new(1, 8, policy, Arc::new(SystemEntropy)).unwrap();
    let password = NewPassword::parse(password, &[]).unwrap();
    PasswordHash::from_phc(pool.hash(&password, None).await.unwrap()).unwrap()
}

/// Waits for a condition, not for a time.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let bound = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(tokio::time::Instant::now() < bound, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Expects a refusal.
#[track_caller]
pub(crate) fn refused<T>(answer: Result<T, Status>, code: Code, reason: ErrorReason) -> Status {
    let Err(status) = answer else {
        panic!("not refused with {reason:?}");
    };
    assert_eq!(
        (status.code(), reason_of(&status)),
        (code, Some(reason)),
        "{status:?}"
    );
    status
}
