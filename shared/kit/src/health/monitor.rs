//! Keeps the health of both listeners true.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio_util::sync::CancellationToken;

use super::Health;
use crate::{clock::SharedClock, database::Database};

/// Between two looks at a service that serves, or that has not for a while.
const STEADY: Duration = Duration::from_secs(1);
/// Between two looks at one that has just started, so that its readiness is told at once.
const STARTING: Duration = Duration::from_millis(5);
/// How long a start is looked at that often.
const START: Duration = Duration::from_secs(10);

/// What the health of a service depends on.
pub struct HealthMonitor<R> {
    /// Serves while the database is reachable and the service has been ready once.
    pub public: Health,
    /// Serves while the database is reachable, or two services would wait for each other.
    pub internal: Health,
    /// The own database, asked on a connection of its own: a pool that is busy is not one that is away.
    pub database: Database,
    /// Whether everything else that the public services need is there; asked until it once was.
    pub is_ready: R,
    /// Time.
    pub clock: SharedClock,
}

impl<R: Fn() -> bool + Send> HealthMonitor<R> {
    /// Watches until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let connection = self.database.dedicated();
        let started_at = self.clock.elapsed();
        let watch = async {
            let mut was_ready = false;
            loop {
                let reachable = answers(&connection).await;
                was_ready = was_ready || (self.is_ready)();
                self.internal.set_all(reachable);
                self.public.set_all(reachable && was_ready);
                let age = self.clock.elapsed().saturating_sub(started_at);
                let starting = !(reachable && was_ready) && age < START;
                tokio::time::sleep(if starting { STARTING } else { STEADY }).await;
            }
        };
        cancel.run_until_cancelled(watch).await;
    }
}

async fn answers(connection: &DatabaseConnection) -> bool {
    connection.ping().await.is_ok()
}
