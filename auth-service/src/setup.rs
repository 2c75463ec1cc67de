//! The database at the start: opened, and its schema brought up to date or checked.

use identity_kit::{
    clock::SharedClock,
    database::{Database, StoreError},
    entropy::SharedEntropy,
    migrate::{self, MigrateError, SchemaError},
};

use crate::{config::Config, store::migration::Migrator};

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// It cannot be opened.
    #[error("--database-url: {0}")]
    Open(#[from] StoreError),
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
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Database, SetupError> {
    let database = Database::connect(&config.database(true), clock, entropy).await?;
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
    let database = Database::connect(&config.database(false), clock, entropy).await?;
    let migrated = migrate::migrate::<Migrator>(&database).await;
    database.close().await;
    Ok(migrated?)
}
