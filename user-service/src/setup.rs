//! Opening the database: its schema brought up to date or checked, its built-in rows reconciled.

use std::sync::Arc;

use identity_guard::rules::{Rules, RulesError};
use identity_kit::{
    clock::SharedClock,
    config::ConfigError,
    database::{Database, DatabaseConfig, StoreError},
    entropy::SharedEntropy,
    migrate::{MigrateError, SchemaError, check_schema, migrate as apply},
    restore::{RestoreError, State, admit},
};
use thiserror::Error;

use crate::{
    config::Config,
    store::{self, Audit, RightsCache, Store, migration::Migrator},
};

/// Why the database cannot be used.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It does not answer, or another process serves the file.
    #[error("{flag}: {source}")]
    Connect {
        /// The flag that says where it is.
        flag: &'static str,
        /// Why not.
        source: StoreError,
    },
    /// Its schema is not the one this program knows.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Its schema was not brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The rules of the contract cannot be read.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// It was put back to an earlier copy.
    #[error(transparent)]
    Restored(#[from] RestoreError),
    /// The built-in rows were not reconciled.
    #[error("the built-in roles and permissions were not reconciled: {0}")]
    Reconcile(#[source] store::Error),
}

/// The rules of the whole contract.
///
/// # Errors
/// A defect of the contract.
pub fn rules() -> Result<Rules, RulesError> {
    Rules::from_descriptor_set(identity_proto::DESCRIPTOR_SET)
}

/// Opens the database and sees that its schema is the one of this program, bringing it there where configured.
///
/// # Errors
/// The database cannot be used.
pub async fn open(
    config: &Config,
    database: &DatabaseConfig,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Store, SetupError> {
    let store = connect(config, database, &clock, &entropy).await?;
    if config.database.auto_migrate {
        bring_up_to_date(&store, &clock, entropy).await?;
    } else {
        check_schema::<Migrator>(store.database()).await?;
    }
    Ok(store)
}

/// The same for serving it: it was not put back to an earlier copy.
///
/// # Errors
/// The database cannot be used, or asks for `after-restore`.
pub async fn open_served(
    config: &Config,
    database: &DatabaseConfig,
    state: &State,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Store, SetupError> {
    let store = open(config, database, clock, entropy).await?;
    admit(store.database(), state).await?;
    Ok(store)
}

/// Opens a database of the schema of this program as it is.
///
/// # Errors
/// The database cannot be used.
pub async fn look(
    config: &Config,
    database: &DatabaseConfig,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Store, SetupError> {
    let store = connect(config, database, &clock, &entropy).await?;
    check_schema::<Migrator>(store.database()).await?;
    Ok(store)
}

/// Brings schema and built-in rows up to date.
///
/// # Errors
/// The database cannot be used.
pub async fn migrate(
    config: &Config,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<(), SetupError> {
    let store = connect(config, &config.database.config(false)?, &clock, &entropy).await?;
    let migrated = bring_up_to_date(&store, &clock, entropy).await;
    store.database().close().await;
    migrated
}

async fn connect(
    config: &Config,
    database: &DatabaseConfig,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Store, SetupError> {
    // Whoever writes leaves an event in the audit log, whose keys come from here.
    let audit = Audit::new(&config.access.root_secret()?, Arc::clone(clock));
    let flag = config.database.flag();
    let database = Database::connect(database, Arc::clone(clock), Arc::clone(entropy))
        .await
        .map_err(|source| SetupError::Connect { flag, source })?;
    let rights = RightsCache::new(Arc::clone(clock), config.access.max_staleness());
    Ok(Store::new(database, Arc::new(rights), audit))
}

async fn bring_up_to_date(
    store: &Store,
    clock: &SharedClock,
    entropy: SharedEntropy,
) -> Result<(), SetupError> {
    apply::<Migrator>(store.database()).await?;
    store
        .reconcile(rules()?.permissions(), entropy, clock.now())
        .await
        .map_err(SetupError::Reconcile)?;
    Ok(())
}
