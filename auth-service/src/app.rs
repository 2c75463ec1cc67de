//! The composition root: takes bound listeners and a shutdown, and puts everything together.

mod prepared;

use std::{error::Error, io, sync::Arc};

use identity_guard::{
    AccessState,
    layer::{Guard, GuardConfig, GuardLayer, TokenFallback},
    rights::RightsSource,
    rules::RulesError,
};
use identity_kit::{
    background::Background,
    clock::SharedClock,
    config::ConfigError,
    consistency::ConsistencyTokens,
    database::Database,
    entropy::SharedEntropy,
    feed::Watchers,
    health::{Health, HealthMonitor},
    outbox::Tail,
    page::PageTokens,
    password::HashPool,
    restore::{self, Keeper, Kept, RestoreError},
    secret::RootSecret,
    server::{Addresses, Listeners, ServeError, ServerBuilder},
    shutdown::Shutdown,
};
use identity_proto::auth::v1::{
    access_feed_service_server, auth_service_server, session_service_server,
    signing_key_service_server,
};
use prometheus::Registry;
use tokio::task::JoinHandle;

pub use self::prepared::{DirectorySource, Prepared};
use crate::{
    authority::{Authority, KeyRing, KeyRingError},
    client::UserDirectory,
    config::Config,
    domain::throttle::ThrottleKeys,
    feed::{AccessFeedGrpc, FeedMemory, Intake},
    housekeeping::Housekeeping,
    http, routes,
    setup::{self, SetupError},
    upstream::Upstream,
};

/// The services of the public listener.
pub const PUBLIC_SERVICES: [&str; 3] = [
    auth_service_server::SERVICE_NAME,
    session_service_server::SERVICE_NAME,
    signing_key_service_server::SERVICE_NAME,
];

/// The services that are on the internal listener alone.
pub const INTERNAL_SERVICES: [&str; 1] = [access_feed_service_server::SERVICE_NAME];

/// The name of this program, and of what it keeps beside its database.
pub const SERVICE: &str = "auth-service";

/// Streams that last for as long as somebody listens.
const ENDLESS_METHODS: [&str; 1] = ["/identity.auth.v1.AccessFeedService/Watch"];

/// The name of the feed in consistency tokens.
const FEED: &str = "auth";

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The database was put back to an earlier copy.
    #[error(transparent)]
    Restored(#[from] RestoreError),
    /// The signing keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The rules of the contract cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A listener cannot be used.
    #[error("a listener cannot be used: {0}")]
    Listener(#[from] io::Error),
}

/// The running service.
pub struct App {
    addresses: Addresses,
    authority: Arc<Authority>,
    server: JoinHandle<Result<(), ServeError>>,
    background: Background,
    kept: Kept,
}

/// What the parts of the service are made from.
struct Parts<'a> {
    config: &'a Config,
    root: RootSecret,
    clock: SharedClock,
    entropy: SharedEntropy,
    database: Database,
}

impl App {
    /// Starts the service on bound listeners, until the shutdown is over. It does not wait for user-service.
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
        directory: DirectorySource,
    ) -> Result<Self, StartError> {
        let prepared = Prepared::of(config, clock, entropy, directory)?;
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
            directory,
            channel,
            hashes,
            database,
            state,
        } = prepared;
        let addresses = listeners.addresses()?;
        let database =
            setup::open(config, &database, Arc::clone(&clock), Arc::clone(&entropy)).await?;
        restore::admit(&database, &state).await?;
        let parts = Parts {
            config,
            root,
            clock,
            entropy,
            database,
        };
        let keys = parts.keys().await?;
        let memory = Arc::new(FeedMemory::default());
        let mut background = Background::default();
        let authority = parts.authority(keys, &memory, directory, hashes, &mut background);
        let authority = Arc::new(authority);
        let (watchers, noting) = Watchers::spawn(
            &parts.database,
            Arc::clone(&parts.clock),
            background.until(),
        );
        background.keep(noting);
        let keeper = Keeper::new(
            parts.database.clone(),
            state,
            None,
            authority.tail.applied(),
        );
        let kept = keeper.spawn(&mut background, shutdown.clone());
        if let Some(channel) = channel {
            let upstream = Upstream::new(channel, Arc::clone(&authority), watchers.clone());
            background.spawn(upstream.run(background.until()));
        }
        let guard = Guard::new(GuardConfig {
            rules: Arc::new(rules),
            state: Arc::clone(&authority.state),
            fallback: Some(Arc::clone(&authority) as Arc<dyn TokenFallback>),
            rights: Arc::clone(&authority) as Arc<dyn RightsSource>,
            services,
            exempt: Vec::new(),
        });
        let feed = AccessFeedGrpc::new(
            Arc::clone(&memory),
            watchers,
            parts.database.clone(),
            Arc::clone(&parts.clock),
            authority.issuer.clone(),
            Arc::clone(&authority.state),
            shutdown.draining().clone(),
        );
        let public = Health::new(PUBLIC_SERVICES);
        let internal = Health::new(PUBLIC_SERVICES.into_iter().chain(INTERNAL_SERVICES));
        let server = ServerBuilder::new(listeners)
            .configured(&config.server)?
            .public(
                routes::public(&authority),
                http::routes(Arc::clone(&authority)),
            )
            .internal(routes::internal(&authority, feed))
            .guard(GuardLayer::new(Arc::new(guard)))
            .health(public.clone(), internal.clone())
            .reflection(config.server.reflection, &PUBLIC_SERVICES)
            .endless(&ENDLESS_METHODS)
            .metrics(registry);
        parts.look_after(&authority, memory, public, internal, &mut background);
        tracing::info!(
            public = %addresses.public,
            internal = %addresses.internal,
            admin = %addresses.admin,
            "serving"
        );
        Ok(Self {
            addresses,
            authority,
            server: tokio::spawn(server.serve(shutdown)),
            background,
            kept,
        })
    }

    /// Where the service listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The shared parts, for whoever runs the service in the same process.
    #[must_use]
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Waits for the end, which a shutdown brings, and puts everything down in order.
    ///
    /// # Errors
    /// The server could not be started, or the database was put back beneath it.
    pub async fn ended(self) -> Result<(), Box<dyn Error>> {
        let served = self.server.await;
        self.background.end().await;
        self.authority.database.close().await;
        served??;
        Ok(self.kept.outcome()?)
    }
}

impl Parts<'_> {
    async fn keys(&self) -> Result<Arc<KeyRing>, KeyRingError> {
        let keys = KeyRing::new(
            self.database.clone(),
            &self.root,
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        );
        keys.load_or_create(self.config.tokens.signing_algorithm)
            .await?;
        Ok(Arc::new(keys))
    }

    fn authority(
        &self,
        keys: Arc<KeyRing>,
        memory: &Arc<FeedMemory>,
        directory: Arc<dyn UserDirectory>,
        hashes: HashPool,
        background: &mut Background,
    ) -> Authority {
        let (config, policy) = (self.config, self.config.policy());
        let state = Arc::new(AccessState::new(
            config.tokens.verifier(policy.leeway),
            Arc::clone(&self.clock),
            config.access.max_staleness(),
        ));
        let intake = Intake {
            database: self.database.clone(),
            keys: Arc::clone(&keys),
            state: Arc::clone(&state),
            memory: Arc::clone(memory),
            clock: Arc::clone(&self.clock),
            leeway: policy.leeway,
        };
        let (tail, following) = Tail::spawn(
            &self.database,
            Arc::clone(&self.clock),
            background.until(),
            Arc::new(intake),
        );
        background.keep(following);
        let pages = PageTokens::new(self.root.derive("page tokens"), Arc::clone(&self.entropy));
        Authority {
            database: self.database.clone(),
            directory,
            hashes: Arc::new(hashes),
            keys,
            state,
            tail: Arc::new(tail),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            policy,
            issuer: config.tokens.issuer.clone(),
            audience: config.tokens.audience.clone(),
            consistency: ConsistencyTokens::new(FEED, self.root.derive("consistency tokens")),
            pages,
            throttle_keys: ThrottleKeys::new(&self.root.derive("throttle keys")),
        }
    }

    /// Tells health what the service can do, and removes what is over.
    fn look_after(
        &self,
        authority: &Authority,
        memory: Arc<FeedMemory>,
        public: Health,
        internal: Health,
        background: &mut Background,
    ) {
        let (keys, state) = (Arc::clone(&authority.keys), Arc::clone(&authority.state));
        let health = HealthMonitor {
            public,
            internal,
            database: self.database.clone(),
            // Tokens can be signed, and which of them were ended has been known once.
            is_ready: move || keys.is_ready() && state.is_fresh(),
            clock: Arc::clone(&self.clock),
        };
        let housekeeping = Housekeeping {
            database: self.database.clone(),
            memory,
            clock: Arc::clone(&self.clock),
            policy: authority.policy.clone(),
        };
        background.spawn(health.run(background.until()));
        background.spawn(housekeeping.run(background.until()));
    }
}
