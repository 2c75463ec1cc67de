//! What the settings come to: read, and found good, before a port is bound.

use std::sync::Arc;

use identity_guard::{
    AccessState,
    channel::{ChannelError, IdentityChannel},
    rules::{Rules, RulesError},
    services::ServiceIdentities,
};
use identity_kit::{
    clock::SharedClock, config::ConfigError, database::DatabaseConfig, entropy::SharedEntropy,
    password::HashPool, restore::State, secret::RootSecret,
};

use super::{INTERNAL_SERVICES, PUBLIC_SERVICES, SERVICE, StartError};
use crate::{
    config::Config,
    domain::{plan::Plans, reserved::ReservedUsernames},
    setup,
};

/// Where the knowledge of keys and revocations comes from.
pub enum AccessSource {
    /// auth-service's live feed, and auth-service itself while the feed is away.
    Followed,
    /// Somebody else keeps this state, as tests do.
    Given(Arc<AccessState>),
}

/// The settings as values. Nothing of it has an effect before the start, so that a wrong one leaves nothing behind.
pub struct Prepared<'a> {
    pub(super) config: &'a Config,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) root: RootSecret,
    pub(super) services: ServiceIdentities,
    pub(super) rules: Rules,
    pub(super) hasher: HashPool,
    pub(super) reserved: ReservedUsernames,
    pub(super) access: Access,
    pub(super) database: DatabaseConfig,
    pub(super) state: State,
    pub(super) plans: Plans,
}

/// What the guard knows of tokens.
pub(super) struct Access {
    pub(super) state: Arc<AccessState>,
    /// How auth-service is reached; `None` where somebody else keeps the state.
    pub(super) channel: Option<IdentityChannel>,
}

impl<'a> Prepared<'a> {
    /// Reads the settings and the files that they name. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The flag of the first setting that is wrong, and what would mend it.
    pub fn of(
        config: &'a Config,
        clock: SharedClock,
        entropy: SharedEntropy,
        access: AccessSource,
    ) -> Result<Self, StartError> {
        config.server.check()?;
        let root = config.access.root_secret()?;
        let services = ServiceIdentities::parse(&config.access.service_identity)
            .map_err(|error| ConfigError::of_identity(&error))?;
        let database = config.database.config(true)?;
        let state = config.database.state(SERVICE)?;
        state.marker()?;
        let plans = config.subscription.plans()?;
        let access = Access::of(access, config, &clock)?;
        let hasher = HashPool::new(
            config.password.hash_threads,
            config.password.hash_queue,
            config.password_policy(),
            Arc::clone(&entropy),
        )
        .map_err(|error| ConfigError::of_hash_pool(&error))?;
        Ok(Self {
            rules: rules()?,
            reserved: config.people.reserved_usernames()?,
            config,
            clock,
            entropy,
            root,
            services,
            hasher,
            access,
            database,
            state,
            plans,
        })
    }
}

impl Access {
    fn of(source: AccessSource, config: &Config, clock: &SharedClock) -> Result<Self, ConfigError> {
        if let AccessSource::Given(state) = source {
            return Ok(Self {
                state,
                channel: None,
            });
        }
        let max_staleness = config.access.max_staleness();
        let state = AccessState::new(config.access.verifier(), Arc::clone(clock), max_staleness);
        let channel = config.access.channel();
        let blame = |error: ChannelError| {
            ConfigError::of_channel("--auth-url", &config.access.channel(), &error)
        };
        Ok(Self {
            state: Arc::new(state),
            channel: Some(IdentityChannel::new(channel, Arc::clone(clock)).map_err(blame)?),
        })
    }
}

/// The rules of the contract: every RPC that is served has one.
fn rules() -> Result<Rules, RulesError> {
    let rules = setup::rules()?;
    rules.require(&PUBLIC_SERVICES)?;
    rules.require(&INTERNAL_SERVICES)?;
    Ok(rules)
}
