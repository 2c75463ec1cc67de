//! The verb for a database that was put back to an earlier copy: ends everything that it knows, and begins anew.

use std::{sync::Arc, time::Duration};

use identity_kit::{
    clock::SharedClock,
    config::ConfigError,
    database::{Database, DatabaseConfig, StoreError},
    entropy::SharedEntropy,
    id::new_id,
    outbox,
    restore::{Marker, RestoreError, State},
};
use serde_json::{Value, json};

use crate::{
    app::SERVICE,
    authority::{KeyRing, KeyRingError},
    config::{AfterRestoreArgs, Config},
    setup::{self, SetupError},
    store::restore::{self, Renewal},
};

/// How long one statement may take: it changes every row of a table.
const PATIENCE: Duration = Duration::from_hours(1);

/// Why the database cannot be served yet.
#[derive(Debug, thiserror::Error)]
pub enum AfterRestoreError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used, or is served.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The marker cannot be used.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The new signing key cannot be made.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The database does not carry it out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the database one that can be served, and answers what to print. It is one transaction: killed before its end it
/// has done nothing.
///
/// Where the marker agrees with the database nothing is done, unless it is forced: the marker may have been put back
/// with it. Without a marker whoever runs it knows.
///
/// # Errors
/// Why it was not done.
pub async fn run(
    config: &Config,
    args: &AfterRestoreArgs,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Value, AfterRestoreError> {
    let root = config.access.root_secret()?;
    let state = config.database.state(SERVICE)?;
    let database = DatabaseConfig {
        timeout: PATIENCE,
        // Nobody serves a file of SQLite meanwhile.
        ..config.database.config(true)?
    };
    let database = setup::open(config, &database, Arc::clone(&clock), Arc::clone(&entropy)).await?;
    let keys = KeyRing::new(
        database.clone(),
        &root,
        Arc::clone(&clock),
        Arc::clone(&entropy),
    );
    let done = restore(
        config, &database, &state, args.force, &keys, &clock, &entropy,
    )
    .await;
    database.close().await;
    done
}

async fn restore(
    config: &Config,
    database: &Database,
    state: &State,
    force: bool,
    keys: &KeyRing,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Value, AfterRestoreError> {
    if !force && !state.is_restored(database).await? {
        return Ok(json!({ "restored": false }));
    }
    let marker = state.marker()?;
    let renewal = Renewal {
        epoch: new_id(&**entropy),
        lost_epoch: marker.map(|marker| marker.cursor.position.epoch),
        key: keys.make_next(config.tokens.signing_algorithm).await?,
    };
    let key_id = renewal.key.key.id.clone();
    let ended = restore::renew(database, renewal, &config.policy(), clock.now()).await?;
    // What was removed is in no file any more.
    database.checkpoint().await?;
    let (_, cursor) = outbox::head(database.aside()).await?;
    let epoch = cursor.position.epoch.clone();
    // There is no journal here.
    state.mark(&Marker {
        cursor,
        journal_bytes: 0,
        journal_since: 0,
    })?;
    Ok(json!({
        "restored": true,
        "epoch": epoch,
        "ended_sessions": ended.sessions,
        "withdrawn_keys": ended.keys,
        "signing_key": key_id,
    }))
}
