//! The verb for a database that was put back to an earlier copy: erases again who was erased, and begins a new epoch.

use identity_kit::{
    clock::SharedClock,
    config::ConfigError,
    database::StoreError,
    entropy::SharedEntropy,
    id::new_id,
    outbox,
    restore::{Marker, RestoreError, State},
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    app::SERVICE,
    config::{AfterRestoreArgs, Config},
    setup::{self, SetupError},
    store::{self, Store},
};

/// Why the database cannot be served yet.
#[derive(Debug, Error)]
pub enum AfterRestoreError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used, or is served.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Marker or journal cannot be used.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The database does not carry it out.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<StoreError> for AfterRestoreError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// Makes the database one that can be served, and answers what to print. It may be killed anywhere and run again: until
/// its last step the database is refused.
///
/// Where the marker agrees with the database nothing is done, unless it is forced: the marker may have been put back
/// with it. It must be forced as well where nothing is kept that tells who was erased, as in another folder than the
/// service's, and where the journal begins behind the copy.
///
/// # Errors
/// Why it was not done.
pub async fn run(
    config: &Config,
    args: &AfterRestoreArgs,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Value, AfterRestoreError> {
    let state = config.database.state(SERVICE)?;
    // Nobody serves a file of SQLite meanwhile.
    let database = config.database.config(true)?;
    let store = setup::open(config, &database, clock.clone(), entropy.clone()).await?;
    let done = restore(&store, &state, args.force, &clock, &entropy).await;
    store.database().close().await;
    done
}

async fn restore(
    store: &Store,
    state: &State,
    force: bool,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Value, AfterRestoreError> {
    if !force && !state.is_restored(store.database()).await? {
        return Ok(json!({ "restored": false }));
    }
    if !force {
        state.require_kept()?;
    }
    let marker = state.marker()?;
    store.begin_restore().await?;
    let revision = outbox::put_back_to(store.database().aside()).await?;
    if !force {
        state.require_journal_since(revision)?;
    }
    let (journaled, erased) = erase_again(store, state).await?;
    let lost = marker.as_ref().map(|marker| &marker.cursor.position.epoch);
    let now = clock.now();
    store
        .finish_restore(lost.cloned(), new_id(&**entropy), erased, now)
        .await?;
    // What was erased is in no file any more.
    store.database().checkpoint().await?;
    let (_, cursor) = outbox::head(store.database().aside()).await?;
    let epoch = cursor.position.epoch.clone();
    let known = marker.map(|marker| (marker.journal_bytes, marker.journal_since.min(revision)));
    let (journal_bytes, journal_since) = known.unwrap_or((0, cursor.position.revision));
    state.mark(&Marker {
        cursor,
        journal_bytes,
        journal_since,
    })?;
    Ok(
        json!({ "restored": true, "epoch": epoch, "journaled_users": journaled, "erased_users": erased }),
    )
}

/// Erases everybody in the journal who is there: how many stand in it, and how many there were.
async fn erase_again(store: &Store, state: &State) -> Result<(u64, u64), AfterRestoreError> {
    let (mut journaled, mut erased) = (0, 0);
    let Some(mut ids) = state.erased()? else {
        return Ok((0, 0));
    };
    loop {
        let part = ids.next_part()?;
        if part.is_empty() {
            return Ok((journaled, erased));
        }
        journaled += part.len() as u64;
        erased += store.erase_again(&part).await?;
    }
}
