//! The database at the start: opened, and its schema brought up to date or checked.

use identity_kit::{
    clock::SharedClock,
    config::ConfigError,
    database::{Database, DatabaseConfig, StoreError},
    entropy::SharedEntropy,
    migrate::{self, MigrateError, SchemaError},
};

use crate::{config::Config, store::migration::Migrator};

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot be opened.
    #[error("{flag}: {source}")]
    Open {
        /// The flag that says where it is.
        flag: &'static str,
        /// Why not.
        source: StoreError,
    },
    /// Its schema was not brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Its schema is not the one of this program.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// Opens the database for serving: it has the schema of this program.
///
/// # Errors
/// It cannot be opened, or has another schema and `--auto-migrate` is off.
pub async fn open(
    config: &Config,
    database: &DatabaseConfig,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Database, SetupError> {
    let database = connect(config, database, clock, entropy).await?;
    if config.database.auto_migrate {
        migrate::migrate::<Migrator>(&database).await?;
    } else {
        migrate::check_schema::<Migrator>(&database).await?;
    }
    Ok(database)
}

/// Brings the schema up to date.
///
/// # Errors
/// The database cannot be opened or changed.
pub async fn migrate(
    config: &Config,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<(), SetupError> {
    let database = connect(config, &config.database.config(false)?, clock, entropy).await?;
    let migrated = migrate::migrate::<Migrator>(&database).await;
    database.close().await;
    Ok(migrated?)
}

async fn connect(
    config: &Config,
    database: &DatabaseConfig,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Database, SetupError> {
    let flag = config.database.flag();
    Database::connect(database, clock, entropy)
        .await
        .map_err(|source| SetupError::Open { flag, source })
}
