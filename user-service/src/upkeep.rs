//! What goes on beside the calls: forgetting what is old.

use std::time::Duration;

use identity_kit::clock::SharedClock;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// How long a request is remembered, and an event of the feed kept: a follower that was away for longer begins anew.
const LIFE: Duration = Duration::from_hours(24);
/// Before the first round: it does not compete with the start for connections.
const FIRST: Duration = Duration::from_secs(30);
/// Between two rounds of forgetting.
const EVERY: Duration = Duration::from_mins(10);

/// Forgets remembered requests, events of the feed, and proofs of addresses after a day, and budgets after an hour.
pub(crate) async fn forget(store: Store, clock: SharedClock, cancel: CancellationToken) {
    let forget = async {
        tokio::time::sleep(FIRST).await;
        loop {
            let before = clock.now().minus(LIFE);
            if let Err(error) = store.purge_requests(before).await {
                tracing::warn!(error = ?error, "old requests were not forgotten");
            }
            if let Err(error) = store.trim_feed(before).await {
                tracing::warn!(error = ?error, "old events were not forgotten");
            }
            if let Err(error) = store.purge_email_proofs(clock.now()).await {
                tracing::warn!(error = ?error, "old proofs of addresses were not forgotten");
            }
            if let Err(error) = store.purge_budgets(clock.now()).await {
                tracing::warn!(error = ?error, "old budgets were not forgotten");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    let _ = cancel.run_until_cancelled(forget).await;
}
