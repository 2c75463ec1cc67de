//! What goes on beside the calls: honest health, and forgetting requests of yesterday.

use std::{sync::Arc, time::Duration};

use identity_guard::AccessState;
use identity_kit::{clock::SharedClock, health::Health};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Between two questions whether the database answers.
const PROBE: Duration = Duration::from_secs(1);
/// The first pause before everything has been well, so that a start is told at once; it doubles.
const FIRST_PROBE: Duration = Duration::from_millis(2);
/// The longest of those pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// How long a request is remembered.
const REQUEST_LIFE: Duration = Duration::from_hours(24);
/// Between two rounds of forgetting.
const PURGE: Duration = Duration::from_hours(1);

/// The health of both listeners.
#[derive(Clone)]
pub(crate) struct Healths {
    pub(crate) public: Health,
    pub(crate) internal: Health,
}

impl Healths {
    pub(crate) fn new(public: &[&str], internal: &[&str]) -> Self {
        Self {
            public: Health::new(public.iter().copied()),
            internal: Health::new(internal.iter().copied()),
        }
    }
}

/// Keeps the health true. The internal listener needs the database alone, or the two services would wait for each
/// other; the public one also needs to have known once which tokens were ended.
pub(crate) fn watch_health(
    store: Store,
    access: Arc<AccessState>,
    healths: Healths,
    cancel: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut guarded = false;
        let mut pause = FIRST_PROBE;
        let watch = async {
            loop {
                let reachable = store.database().ping().await.is_ok();
                guarded = guarded || access.is_fresh();
                healths.internal.set_all(reachable);
                healths.public.set_all(reachable && guarded);
                pause = if reachable && guarded {
                    PROBE
                } else {
                    (pause * 2).min(LONGEST_PAUSE)
                };
                tokio::time::sleep(pause).await;
            }
        };
        let _ = cancel.run_until_cancelled(watch).await;
    })
}

/// Forgets remembered requests after a day.
pub(crate) fn purge_requests(
    store: Store,
    clock: SharedClock,
    cancel: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let purge = async {
            loop {
                if let Err(error) = store.purge_requests(clock.now().minus(REQUEST_LIFE)).await {
                    tracing::warn!(error = ?error, "requests of yesterday were not forgotten");
                }
                tokio::time::sleep(PURGE).await;
            }
        };
        let _ = cancel.run_until_cancelled(purge).await;
    })
}
