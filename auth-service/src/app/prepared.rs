//! What the settings come to: read, and found good, before a port is bound.

use std::sync::Arc;

use identity_guard::{
    Rules,
    channel::{ChannelError, IdentityChannel},
    rules::RulesError,
    services::ServiceIdentities,
};
use identity_kit::{
    clock::SharedClock, config::ConfigError, database::DatabaseConfig, entropy::SharedEntropy,
    password::HashPool, restore::State, secret::RootSecret,
};

use super::{INTERNAL_SERVICES, PUBLIC_SERVICES, SERVICE, StartError};
use crate::{
    client::{GrpcUserDirectory, UserDirectory},
    config::Config,
};

/// Where users and their rights are read.
pub enum DirectorySource {
    /// user-service, as the configuration says.
    Remote,
    /// Somebody else, as in tests.
    Given(Arc<dyn UserDirectory>),
}

/// The settings as values. Nothing of it has an effect before the start, so that a wrong one leaves nothing behind.
pub struct Prepared<'a> {
    pub(super) config: &'a Config,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) root: RootSecret,
    pub(super) services: ServiceIdentities,
    pub(super) rules: Rules,
    pub(super) directory: Arc<dyn UserDirectory>,
    /// To user-service, whose changes are followed over it.
    pub(super) channel: Option<IdentityChannel>,
    pub(super) hashes: HashPool,
    pub(super) database: DatabaseConfig,
    pub(super) state: State,
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
        directory: DirectorySource,
    ) -> Result<Self, StartError> {
        config.server.check()?;
        let root = config.access.root_secret()?;
        let services = ServiceIdentities::parse(&config.access.service_identity)
            .map_err(|error| ConfigError::of_identity(&error))?;
        let database = config.database.config(true)?;
        let state = config.database.state(SERVICE)?;
        state.marker()?;
        let (directory, channel) = directory.open(config, &clock)?;
        let hashes = HashPool::new(
            config.login.hash_threads,
            config.login.hash_queue,
            config.login.password_policy(),
            Arc::clone(&entropy),
        )
        .map_err(|error| ConfigError::of_hash_pool(&error))?;
        Ok(Self {
            rules: rules()?,
            config,
            clock,
            entropy,
            root,
            services,
            directory,
            channel,
            hashes,
            database,
            state,
        })
    }
}

impl DirectorySource {
    fn open(
        self,
        config: &Config,
        clock: &SharedClock,
    ) -> Result<(Arc<dyn UserDirectory>, Option<IdentityChannel>), ConfigError> {
        match self {
            Self::Given(directory) => Ok((directory, None)),
            Self::Remote => {
                let channel = config.access.channel();
                let blame = |error: ChannelError| {
                    ConfigError::of_channel("--user-url", &config.access.channel(), &error)
                };
                let channel = IdentityChannel::new(channel, Arc::clone(clock)).map_err(blame)?;
                let directory = GrpcUserDirectory::new(channel.clone());
                Ok((Arc::new(directory), Some(channel)))
            }
        }
    }
}

/// The rules of the contract: every RPC that is served has one.
fn rules() -> Result<Rules, RulesError> {
    let rules = Rules::from_descriptor_set(identity_proto::DESCRIPTOR_SET)?;
    rules.require(&PUBLIC_SERVICES)?;
    rules.require(&INTERNAL_SERVICES)?;
    Ok(rules)
}
