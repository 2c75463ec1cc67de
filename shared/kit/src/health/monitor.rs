//! Keeps the health of both listeners true.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio_util::sync::CancellationToken;

use super::Health;
use crate::{clock::SharedClock, database::Database};

/// Between two looks at a service that serves.
const STEADY: Duration = Duration::from_secs(1);
/// Between the first two looks at one that does not yet.
const FIRST: Duration = Duration::from_millis(1);
/// A start is looked at again when it has taken this part longer, so that being told late costs next to nothing of
/// what it took, and looking costs nothing while a peer is away.
const PART: u32 = 64;

/// What the health of a service depends on.
pub struct HealthMonitor<R> {
    /// Serves while the database is reachable and the service has been ready once.
    pub public: Health,
    /// Serves while the database is reachable, or two services would wait for each other.
    pub internal: Health,
    /// The own database, asked on the connection aside: a pool that is busy is not one that is away.
    pub database: Database,
    /// Whether everything else that the public services need is there; asked until it once was.
    pub is_ready: R,
    /// Time.
    pub clock: SharedClock,
}

impl<R: Fn() -> bool + Send> HealthMonitor<R> {
    /// Watches until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let started_at = self.clock.elapsed();
        let watch = async {
            let mut was_ready = false;
            loop {
                let reachable = answers(self.database.aside()).await;
                was_ready = was_ready || (self.is_ready)();
                self.internal.set_all(reachable);
                self.public.set_all(reachable && was_ready);
                let age = self.clock.elapsed().saturating_sub(started_at);
                let pause = if reachable && was_ready {
                    STEADY
                } else {
                    (age / PART).clamp(FIRST, STEADY)
                };
                tokio::time::sleep(pause).await;
            }
        };
        cancel.run_until_cancelled(watch).await;
    }
}

async fn answers(connection: &DatabaseConnection) -> bool {
    connection.ping().await.is_ok()
}
