//! The composition root: takes bound listeners and a shutdown, and puts everything together.

mod prepared;

use std::{error::Error, io, sync::Arc};

use identity_guard::{
    follow::{FollowConfig, FollowError, Follower},
    layer::{Guard, GuardConfig, GuardLayer, RemoteFallback, TokenFallback, Witness},
    rules::RulesError,
};
use identity_kit::{
    background::Background,
    clock::SharedClock,
    config::ConfigError,
    consistency::ConsistencyTokens,
    entropy::SharedEntropy,
    feed::Watchers,
    health::{Health, HealthMonitor},
    id::new_id,
    idempotency::RequestLog,
    outbox::Tail,
    page::PageTokens,
    position::Position,
    restore::{self, Keeper, Kept, RestoreError, State},
    server::{Addresses, Listeners, ServeError, ServerBuilder},
    shutdown::Shutdown,
};
use identity_proto::user::v1::{
    audit_service_server, change_feed_service_server, credential_service_server,
    permission_service_server, revision_service_server, role_service_server,
    subscription_service_server, user_service_server, user_type_service_server,
};
use prometheus::Registry;
use thiserror::Error as ThisError;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use self::prepared::Access;
pub use self::prepared::{AccessSource, Prepared};
use crate::{
    config::Config,
    domain::asker::Askers,
    feed::{ChangeFeed, ChangeHistory, Intake},
    grpc::Context,
    rights::StoredRights,
    routes,
    setup::{self, SetupError},
    store::{self, RightsFollower, Store},
    upkeep::Upkeep,
};

/// The services of the public listener.
pub const PUBLIC_SERVICES: [&str; 7] = [
    user_service_server::SERVICE_NAME,
    user_type_service_server::SERVICE_NAME,
    role_service_server::SERVICE_NAME,
    permission_service_server::SERVICE_NAME,
    revision_service_server::SERVICE_NAME,
    subscription_service_server::SERVICE_NAME,
    audit_service_server::SERVICE_NAME,
];

/// The services that are on the internal listener alone.
pub const INTERNAL_SERVICES: [&str; 2] = [
    credential_service_server::SERVICE_NAME,
    change_feed_service_server::SERVICE_NAME,
];

/// The name of this program, and of what it keeps beside its database.
pub const SERVICE: &str = "user-service";

/// Streams that last for as long as somebody listens, or has something to send.
const ENDLESS_METHODS: [&str; 3] = [
    "/identity.user.v1.ChangeFeedService/Watch",
    "/identity.user.v1.UserService/ImportUsers",
    "/identity.user.v1.UserService/ExportUsers",
];

/// Reads of one row by its key. `GetRole` is none of them: it answers with every permission that the role gives.
const SHORT_METHODS: [&str; 6] = [
    "/identity.user.v1.UserService/GetUser",
    "/identity.user.v1.UserTypeService/GetUserType",
    "/identity.user.v1.PermissionService/GetPermission",
    "/identity.user.v1.SubscriptionService/GetSubscription",
    "/identity.user.v1.CredentialService/GetCredential",
    "/identity.user.v1.CredentialService/GetAccessSnapshot",
];

/// How many accounts are begun at once.
const REGISTERING: usize = 2;
/// How many passwords are hashed at once for accounts that people begin on their own.
const CONFIRMING: usize = 2;

/// The name of the feed in consistency tokens.
const FEED: &str = "user";

/// Why the service did not start.
#[derive(Debug, ThisError)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// What is kept beside the database cannot be used.
    #[error(transparent)]
    State(#[from] RestoreError),
    /// The rules of the contract cannot be read.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// auth-service's feed cannot be followed that way.
    #[error("--max-staleness-milliseconds: {0}")]
    Follow(#[from] FollowError),
    /// A metric cannot be shown.
    #[error("a metric cannot be shown: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A listener cannot be used.
    #[error("a listener cannot be used: {0}")]
    Listener(#[from] io::Error),
}

/// The running service.
pub struct App {
    addresses: Addresses,
    store: Store,
    server: JoinHandle<Result<(), ServeError>>,
    background: Background,
    kept: Kept,
}

impl App {
    /// Starts the service on bound listeners, until the shutdown is over. It does not wait for auth-service.
    ///
    /// # Errors
    /// Wrong configuration, or a database that cannot be used.
    pub async fn start(
        listeners: Listeners,
        shutdown: Shutdown,
        clock: SharedClock,
        entropy: SharedEntropy,
        registry: Registry,
        config: &Config,
        access: AccessSource,
    ) -> Result<Self, StartError> {
        let prepared = Prepared::of(config, clock, entropy, access)?;
        Self::start_prepared(listeners, shutdown, registry, prepared).await
    }

    /// The same, with settings that have been read.
    ///
    /// # Errors
    /// A database or a listener that cannot be used.
    pub async fn start_prepared(
        listeners: Listeners,
        shutdown: Shutdown,
        registry: Registry,
        prepared: Prepared<'_>,
    ) -> Result<Self, StartError> {
        let Prepared {
            config,
            clock,
            entropy,
            root,
            services,
            rules,
            hasher,
            reserved,
            access,
            database,
            state,
            plans,
        } = prepared;
        let addresses = listeners.addresses()?;
        // The feed connects while the database opens.
        let mut background = Background::default();
        let fallback = follow(&access, &clock, &mut background)?;
        let store =
            setup::open_served(config, &database, &state, clock.clone(), entropy.clone()).await?;
        let own = OwnFeed::follow(&store, state, &clock, &shutdown, &mut background);
        let upkeep = Upkeep::new(
            store.clone(),
            Arc::clone(&clock),
            new_id(&*entropy),
            config.audit.retention(),
        );
        let context = Arc::new(Context {
            store: store.clone(),
            applied: own.applied,
            revisions: ConsistencyTokens::new(FEED, root.derive("consistency tokens")),
            pages: PageTokens::new(root.derive("page tokens"), Arc::clone(&entropy)),
            requests: Arc::new(RequestLog::new(
                root.derive("request log"),
                Arc::clone(&entropy),
            )),
            askers: Askers::new(&root.derive("askers")),
            plans,
            hasher: Arc::new(hasher),
            reserved,
            self_registration: config.people.self_registration,
            registering: Semaphore::new(REGISTERING),
            confirming: Semaphore::new(CONFIRMING),
            clock: Arc::clone(&clock),
            entropy,
        });
        let guard = Guard::new(GuardConfig {
            rules: Arc::new(rules),
            state: Arc::clone(&access.state),
            fallback,
            rights: Arc::new(StoredRights(store.clone())),
            services,
            exempt: Vec::new(),
        });
        let refusals = Arc::clone(store.refusals());
        refusals.register(&registry)?;
        let guard = guard.witnessed(Arc::clone(&refusals) as Arc<dyn Witness>);
        let feed = ChangeFeed::new(
            own.history,
            own.watchers.clone(),
            store.database().clone(),
            Arc::clone(&clock),
            shutdown.draining().clone(),
        );
        let public = Health::new(PUBLIC_SERVICES);
        let internal = Health::new(INTERNAL_SERVICES);
        let server = ServerBuilder::new(listeners)
            .configured(&config.server)?
            .public(routes::public(&context, &own.watchers), axum::Router::new())
            .internal(routes::internal(&context, &own.watchers, feed))
            .guard(GuardLayer::new(Arc::new(guard)))
            .health(public.clone(), internal.clone())
            .reflection(config.server.reflection, &PUBLIC_SERVICES)
            .endless(&ENDLESS_METHODS)
            .short(&SHORT_METHODS)
            .metrics(registry);
        let state = access.state;
        let monitor = HealthMonitor {
            public,
            internal,
            database: store.database().clone(),
            // Which tokens were ended has been known once.
            is_ready: move || state.is_fresh(),
            clock,
        };
        background.spawn(monitor.run(background.until()));
        background.spawn(upkeep.run(background.until()));
        background.spawn(refusals.write(
            store.database().clone(),
            store.audit_log(),
            background.until(),
        ));
        tracing::info!(public = %addresses.public, internal = %addresses.internal, admin = %addresses.admin, "serving");
        Ok(Self {
            addresses,
            store,
            server: tokio::spawn(server.serve(shutdown)),
            background,
            kept: own.kept,
        })
    }

    /// Where the service listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The store, for whoever runs the service in the same process.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Waits for the end, which a shutdown brings, and puts everything down in order.
    ///
    /// # Errors
    /// The server could not be started, or the database was put back beneath it.
    pub async fn ended(self) -> Result<(), Box<dyn Error>> {
        let served = self.server.await;
        self.background.end().await;
        self.store.database().close().await;
        served??;
        Ok(self.kept.outcome()?)
    }
}

/// The own feed, followed into memory and into what outlives the database, and who decides by it.
struct OwnFeed {
    history: Arc<ChangeHistory>,
    applied: watch::Receiver<Position>,
    watchers: Watchers,
    kept: Kept,
}

impl OwnFeed {
    fn follow(
        store: &Store,
        state: State,
        clock: &SharedClock,
        shutdown: &Shutdown,
        background: &mut Background,
    ) -> Self {
        let history = Arc::new(ChangeHistory::default());
        let intake = Intake {
            store: store.clone(),
            rights: RightsFollower(store.rights_cache()),
            history: Arc::clone(&history),
        };
        let (database, until) = (store.database(), background.until());
        let (tail, following) =
            Tail::spawn(database, Arc::clone(clock), until.clone(), Arc::new(intake));
        background.keep(following);
        let (watchers, noting) = Watchers::spawn(database, Arc::clone(clock), until);
        background.keep(noting);
        let erased: restore::Erasure = store::erased;
        let keeper = Keeper::new(database.clone(), state, Some(erased), tail.applied());
        Self {
            history,
            applied: tail.applied(),
            watchers,
            kept: keeper.spawn(background, shutdown.clone()),
        }
    }
}

/// Keeps what the guard knows of tokens up to date; the answer is whom it asks while the feed is away.
fn follow(
    access: &Access,
    clock: &SharedClock,
    background: &mut Background,
) -> Result<Option<Arc<dyn TokenFallback>>, FollowError> {
    let Some(channel) = access.channel.clone() else {
        return Ok(None);
    };
    let follower = Follower::spawn(
        channel.clone(),
        Arc::clone(&access.state),
        Arc::clone(clock),
        FollowConfig {
            watcher_name: "user-service".to_owned(),
        },
        background.until(),
    )?;
    background.keep(follower);
    let fallback = RemoteFallback::new(channel, Arc::clone(&access.state));
    Ok(Some(Arc::new(fallback)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_methods_are_methods_of_the_contract() {
        let rules = setup::rules().unwrap();
        for path in SHORT_METHODS {
            assert!(rules.get(path).is_some(), "{path}");
        }
    }
}
