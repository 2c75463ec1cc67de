//! What of this service can be used now, watched and told.

use std::{sync::Arc, time::Duration};

use identity_guard::engine::AccessState;
use identity_kit::{database::Database, health::Health};
use tokio_util::sync::CancellationToken;

use crate::authority::KeyRing;

/// Between two looks before the service serves, and after.
const WHILE_STARTING: Duration = Duration::from_millis(5);
const WHILE_SERVING: Duration = Duration::from_secs(1);

/// Looks after the health of both listeners.
pub struct HealthWatch {
    /// Keys loaded, feed fresh once, database reachable.
    pub public: Health,
    /// Database reachable.
    pub internal: Health,
    /// The own database.
    pub database: Database,
    /// The signing keys.
    pub keys: Arc<KeyRing>,
    /// Whether the feed was fresh.
    pub state: Arc<AccessState>,
}

impl HealthWatch {
    /// Watches until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let work = async {
            let mut was_fresh = false;
            loop {
                let reachable = self.database.ping().await.is_ok();
                was_fresh |= self.state.is_fresh();
                let serving = reachable && was_fresh && self.keys.is_ready();
                self.internal.set_all(reachable);
                self.public.set_all(serving);
                let pause = if was_fresh {
                    WHILE_SERVING
                } else {
                    WHILE_STARTING
                };
                tokio::time::sleep(pause).await;
            }
        };
        cancel.run_until_cancelled(work).await;
    }
}
