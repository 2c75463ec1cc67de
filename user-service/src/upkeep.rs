//! What goes on beside the calls: forgetting what is old.

use std::time::Duration;

use identity_kit::clock::{Clock, SharedClock};
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// How long a request is remembered, and an event of the feed kept: a follower that was away for longer begins anew.
const LIFE: Duration = Duration::from_hours(24);
/// Before the first round: it does not compete with the start for connections.
const FIRST: Duration = Duration::from_secs(30);
/// Between two rounds of forgetting.
const EVERY: Duration = Duration::from_mins(10);

/// Forgets remembered requests and events of the feed after a day, events of the audit log after their time, and says
/// where the audit log ends.
pub(crate) async fn forget(
    store: Store,
    audit_retention: Option<Duration>,
    clock: SharedClock,
    cancel: CancellationToken,
) {
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
            trim_audit(&store, audit_retention, &*clock).await;
            empty_log(&store).await;
            tokio::time::sleep(EVERY).await;
        }
    };
    let _ = cancel.run_until_cancelled(forget).await;
}

/// Forgets events of the audit log after their time, and says in the log where it ends: whoever keeps that line
/// somewhere else notices when the end is cut off, or the whole is set back to an older copy.
async fn trim_audit(store: &Store, retention: Option<Duration>, clock: &dyn Clock) {
    if let Some(retention) = retention
        && let Err(error) = store.trim_audit(clock.now().minus(retention)).await
    {
        tracing::error!(error = ?error, "the audit log was not trimmed");
    }
    match store.audit_head().await {
        Ok(head) => tracing::info!(%head, "the end of the audit log"),
        Err(error) => tracing::error!(error = ?error, "the audit log has no good end"),
    }
}

/// Empties the log of an SQLite database, in which what was deleted since the last round still stands.
async fn empty_log(store: &Store) {
    match store.database().checkpoint().await {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the log of the database was not emptied: somebody reads it"),
        Err(error) => tracing::warn!(error = ?error, "the log of the database was not emptied"),
    }
}
