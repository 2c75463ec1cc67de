//! The service key that goes with every call, kept in step with its file.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;

use super::ChannelError;
use crate::{clock::SharedClock, services::read_key};

/// How old the held key may be before its file is read again.
pub(super) const MAX_AGE: Duration = Duration::from_secs(1);

/// A service key from a file.
pub(super) struct ServiceKey {
    path: PathBuf,
    clock: SharedClock,
    held: Mutex<Held>,
}

struct Held {
    value: HeaderValue,
    read_at: Duration,
}

impl ServiceKey {
    /// Reads the key.
    pub(super) fn new(path: PathBuf, clock: SharedClock) -> Result<Self, ChannelError> {
        let held = Held {
            read_at: clock.elapsed(),
            value: read(&path)?,
        };
        Ok(Self {
            path,
            clock,
            held: Mutex::new(held),
        })
    }

    /// The key as its file has it now, or had it at most [`MAX_AGE`] ago.
    pub(super) async fn current(&self) -> HeaderValue {
        {
            let now = self.clock.elapsed();
            let mut held = self.held();
            if now.saturating_sub(held.read_at) < MAX_AGE {
                return held.value.clone();
            }
            // Before the reading, so that one call reads and the others go on.
            held.read_at = now;
        }
        let path = self.path.clone();
        match tokio::task::spawn_blocking(move || read(&path)).await {
            Ok(Ok(value)) => self.held().value = value,
            // The one that is held may still be good: two are, while they are rotated.
            Ok(Err(error)) => tracing::warn!(%error, "service key kept, its file is unusable"),
            // The runtime is going down.
            Err(_) => {}
        }
        self.held().value.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key as metadata that no log prints.
fn read(path: &Path) -> Result<HeaderValue, ChannelError> {
    let key = read_key(path)?;
    let mut value =
        HeaderValue::from_str(&key).map_err(|_| ChannelError::file(path, "not visible ASCII"))?;
    value.set_sensitive(true);
    Ok(value)
}
