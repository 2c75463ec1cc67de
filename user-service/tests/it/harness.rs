//! A running service on a database of its own, an issuer of tokens, and clients.

mod clock;
mod dynamic;
mod grants;
mod issuer;
mod replica;
mod restart;
mod watcher;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use identity_guard::{
    AccessState, ErrorReason, SystemClock, VerifierConfig,
    clock::{Clock, SharedClock},
    engine::{KeyChange, Snapshot, Source},
    position::Position,
    services::SERVICE_KEY_HEADER,
    status::reason_of,
};
use identity_kit::{
    database::StoreError,
    entropy::{SharedEntropy, SystemEntropy},
    id::new_id,
    server::Listeners,
    shutdown::Shutdown,
    testing::{TestDatabase, databases},
};
use identity_proto::user::v1::{
    self as wire, credential_service_client::CredentialServiceClient,
    permission_service_client::PermissionServiceClient,
    revision_service_client::RevisionServiceClient, role_service_client::RoleServiceClient,
    subscription_service_client::SubscriptionServiceClient, user_service_client::UserServiceClient,
    user_type_service_client::UserTypeServiceClient,
};
use prometheus::Registry;
use sea_orm::ConnectionTrait as _;
use tempfile::TempDir;
use tonic::{Request, Status, transport::Channel};
use tonic_types::StatusExt;
use user_service::{
    app::{AccessSource, App},
    config::Config,
    domain::{
        credential::PasswordHash, email::Email, id::UserId, text::PersonName, user::NewUser,
        username::Username,
    },
    store::migration::Migrator,
};

pub(crate) use clock::{MovedClock, until};
use issuer::Issuer;
pub(crate) use replica::Replica;
pub(crate) use restart::refused;
pub(crate) use watcher::{Watcher, start};

/// The service key of auth-service.
pub(crate) const SERVICE_KEY: &str = "0123456789abcdef0123456789abcdef";
/// A key that may not read credentials.
pub(crate) const GATEWAY_KEY: &str = "fedcba9876543210fedcba9876543210";

/// A running service with one administrator.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) config: Config,
    pub(crate) admin: wire::User,
    pub(crate) clock: Arc<MovedClock>,
    public: Channel,
    internal: Channel,
    issuer: Issuer,
    counter: AtomicU64,
    shutdown: Shutdown,
    database: TestDatabase,
    /// Its secrets, for as long as it lives.
    folder: TempDir,
}

impl World {
    /// One on every engine that is there.
    pub(crate) async fn all() -> Vec<Self> {
        let mut worlds = Vec::new();
        for database in databases::<Migrator>().await {
            worlds.push(Self::on(database).await);
        }
        worlds
    }

    async fn on(database: TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder, database.url());
        let issuer = Issuer::new();
        let clock = Arc::new(MovedClock::default());
        let (app, shutdown) = launch(&config, &issuer, &clock).await;
        let addresses = app.addresses();
        let admin = app
            .store()
            .insert_administrator(
                new_user("root"),
                PasswordHash::parse("$argon2id$none").unwrap(),
                SystemClock.now(),
            )
            .await
            .unwrap();
        let mut world = Self {
            app,
            config,
            admin: wire::User::default(),
            clock,
            public: lazy(addresses.public),
            internal: lazy(addresses.internal),
            issuer,
            counter: AtomicU64::new(0),
            shutdown,
            database,
            folder,
        };
        let id = admin.value.id.into_string();
        let request = wire::GetUserRequest {
            user_id: id.clone(),
            ..Default::default()
        };
        let answer = world
            .users()
            .get_user(world.by(&id, request))
            .await
            .unwrap();
        world.admin = answer.into_inner().user.unwrap();
        world
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.public.clone())
    }

    pub(crate) fn user_types(&self) -> UserTypeServiceClient<Channel> {
        UserTypeServiceClient::new(self.public.clone())
    }

    pub(crate) fn roles(&self) -> RoleServiceClient<Channel> {
        RoleServiceClient::new(self.public.clone())
    }

    pub(crate) fn permissions(&self) -> PermissionServiceClient<Channel> {
        PermissionServiceClient::new(self.public.clone())
    }

    pub(crate) fn revisions(&self) -> RevisionServiceClient<Channel> {
        RevisionServiceClient::new(self.public.clone())
    }

    pub(crate) fn subscriptions(&self) -> SubscriptionServiceClient<Channel> {
        SubscriptionServiceClient::new(self.public.clone())
    }

    pub(crate) fn credentials(&self) -> CredentialServiceClient<Channel> {
        CredentialServiceClient::new(self.internal.clone())
    }

    pub(crate) fn public(&self) -> Channel {
        self.public.clone()
    }

    pub(crate) fn internal(&self) -> Channel {
        self.internal.clone()
    }

    /// A request by a user.
    pub(crate) fn by<T>(&self, user_id: &str, message: T) -> Request<T> {
        with_token(message, &self.token(user_id))
    }

    /// A request by the administrator.
    pub(crate) fn by_admin<T>(&self, message: T) -> Request<T> {
        self.by(&self.admin.id, message)
    }

    /// A good token of a user who logged in an hour ago.
    pub(crate) fn old_token(&self, user_id: &str) -> String {
        let now = self.clock.now().seconds();
        self.issuer.token_of(user_id, now + 600, now - 3_600)
    }

    /// A good token of a user.
    pub(crate) fn token(&self, user_id: &str) -> String {
        self.issuer.token(user_id, self.clock.now().seconds() + 600)
    }

    /// A token of a user that ended long ago.
    pub(crate) fn expired_token(&self, user_id: &str) -> String {
        self.issuer.token(user_id, self.clock.now().seconds() - 600)
    }

    /// A fresh user with nothing but a profile.
    pub(crate) async fn person(&self) -> wire::User {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        self.create(&person(&format!("person{count}")))
            .await
            .unwrap()
    }

    pub(crate) async fn create(
        &self,
        request: &wire::CreateUserRequest,
    ) -> Result<wire::User, Status> {
        let answer = self
            .users()
            .create_user(self.by_admin(request.clone()))
            .await?;
        Ok(answer.into_inner().user.unwrap())
    }

    pub(crate) async fn suspend(&self, user_id: &str) -> Result<wire::SuspendUserResponse, Status> {
        let request = wire::SuspendUserRequest {
            user_id: user_id.into(),
            ..Default::default()
        };
        let answer = self.users().suspend_user(self.by_admin(request)).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn get_self(&self, user_id: &str) -> Result<wire::GetUserResponse, Status> {
        let request = wire::GetUserRequest {
            user_id: user_id.into(),
            view: wire::UserView::Full.into(),
            ..Default::default()
        };
        let answer = self.users().get_user(self.by(user_id, request)).await?;
        Ok(answer.into_inner())
    }

    /// Writes to the database past the service.
    pub(crate) async fn sql(&self, statements: &'static [&'static str]) {
        let database = self.app.store().database();
        let written = database.write(move |transaction| {
            Box::pin(async move {
                for statement in statements {
                    transaction.execute_unprepared(statement).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        written.await.unwrap();
    }

    /// The files of an SQLite database.
    pub(crate) fn database_files(&self) -> Vec<PathBuf> {
        let file = self.database.file().unwrap();
        let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", file.display()));
        let files = [file.clone(), beside("-wal"), beside("-journal")];
        files.into_iter().filter(|file| file.exists()).collect()
    }

    /// Stops the service and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.start();
        drop((self.public, self.internal));
        self.app.ended().await.unwrap();
    }
}

/// A service that believes an issuer, on free ports.
async fn launch(config: &Config, issuer: &Issuer, clock: &Arc<MovedClock>) -> (App, Shutdown) {
    let clock: SharedClock = Arc::clone(clock) as SharedClock;
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let access = access(issuer, &clock);
    let shutdown = Shutdown::manual();
    let app = App::start(
        Listeners::on_free_ports().unwrap(),
        shutdown.clone(),
        clock,
        entropy,
        Registry::new(),
        config,
        AccessSource::Given(access),
    );
    (app.await.unwrap(), shutdown)
}

fn lazy(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// A request with a token.
pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// A request with a service key.
pub(crate) fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert(SERVICE_KEY_HEADER, key.parse().unwrap());
    request
}

/// A request for a user of this name.
pub(crate) fn person(name: &str) -> wire::CreateUserRequest {
    wire::CreateUserRequest {
        username: name.into(),
        email: format!("{name}@example.org"),
        first_name: "Some".into(),
        last_name: "Body".into(),
        ..Default::default()
    }
}

/// The reason of a refusal.
pub(crate) fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> ErrorReason {
    let status = answer.expect_err("is refused");
    reason_of(&status).unwrap_or_else(|| panic!("has a reason: {status:?}"))
}

/// The permission that a refusal says the caller lacks.
pub(crate) fn lacking<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = answer.expect_err("is refused");
    assert_eq!(
        reason_of(&status),
        Some(ErrorReason::GrantExceedsCaller),
        "{status:?}"
    );
    let mut info = status.get_details_error_info().unwrap();
    info.metadata.remove("permission").unwrap()
}

/// The fields that an answer names as malformed.
pub(crate) fn violated<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.expect_err("is refused");
    assert_eq!(
        reason_of(&status),
        Some(ErrorReason::InvalidFields),
        "{status:?}"
    );
    let details = status.get_details_bad_request().unwrap();
    details
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        id: UserId::new(new_id(&SystemEntropy)),
        username: Username::parse(name).unwrap(),
        email: Email::parse(&format!("{name}@example.org")).unwrap(),
        first_name: PersonName::parse("System").unwrap(),
        last_name: PersonName::parse("Administrator").unwrap(),
        phone: None,
        address: None,
        user_type_id: None,
    }
}

fn access(issuer: &Issuer, clock: &SharedClock) -> Arc<AccessState> {
    let config = VerifierConfig::new(issuer::ISSUER, issuer::AUDIENCE);
    let state = AccessState::new(config, Arc::clone(clock), Duration::from_hours(1));
    let position = Position::new("auth", 1);
    state.apply_snapshot(Snapshot {
        keys: vec![KeyChange::Valid(Arc::new(issuer.key()))],
        position: position.clone(),
        ..Snapshot::default()
    });
    for source in [Source::Auth, Source::User] {
        state.observe_source(source, position.clone(), Duration::ZERO);
    }
    Arc::new(state)
}

fn config(folder: &TempDir, database_url: &str) -> Config {
    let file = |name: &str, content: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let root = file("root", &"r".repeat(32));
    let key = file("key", SERVICE_KEY);
    let gateway = file("gateway", GATEWAY_KEY);
    Config::program()
        .try_parse_from([
            "user-service".to_owned(),
            "--auto-migrate".to_owned(),
            format!("--database-url={database_url}"),
            format!("--root-secret-file={}", root.display()),
            format!(
                "--service-identity=auth-service;scopes=credentials,change_feed;key-file={}",
                key.display()
            ),
            format!(
                "--service-identity=gateway;scopes=access_feed;key-file={}",
                gateway.display()
            ),
            "--password-memory-kib=64".to_owned(),
            "--password-passes=1".to_owned(),
            "--hash-threads=1".to_owned(),
            "--self-registration".to_owned(),
            "--io-threads=1".to_owned(),
        ])
        .unwrap()
}
