//! Follows the own outbox into what watchers are served from.

use std::{sync::Arc, time::Duration};

use identity_kit::{
    database::StoreError,
    feed::{KEPT_CHANGES, Placed},
    outbox::{StoredEvent, TailHandler},
    position::Position,
};

use super::ChangeHistory;
use crate::{
    domain::change::{Committed, Policy},
    store::{Error, RightsFollower, Store},
};

/// Takes the events of the own outbox.
pub struct Intake {
    /// Where the tables are.
    pub store: Store,
    /// What the guard knows of rights, which the same events drop.
    pub rights: RightsFollower,
    /// What watchers are served from.
    pub history: Arc<ChangeHistory>,
}

#[identity_kit::async_trait]
impl TailHandler for Intake {
    async fn apply(&self, events: &[StoredEvent]) -> Result<(), StoreError> {
        // The rights first: an event that cannot be told to watchers still ends what it ends here.
        self.rights.apply(events).await?;
        for placed in self.read(events).await? {
            self.history.push(placed);
        }
        self.history.wake();
        Ok(())
    }

    fn fresh(&self, position: &Position, at: Duration) {
        self.rights.fresh(position, at);
        self.history.prove(at);
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.rights.reset().await?;
        // The cursor before the tables: what is committed in between is taken twice, and nothing is missed.
        let cursor = self.store.feed_cursor().await.map_err(stored)?;
        let revision = cursor.position.revision;
        let roles = self.store.list_role_policies().await.map_err(stored)?;
        let events = self
            .store
            .list_events_before(revision, KEPT_CHANGES as u64)
            .await
            .map_err(stored)?;
        let kept = self.kept(&events).await?;
        let floor = kept
            .first()
            .map_or(revision, |first| first.cursor.position.revision - 1);
        let mut policy = Policy::new(roles, floor);
        for placed in &kept {
            // The roles are newer than these changes; only who changed is taken from them.
            if let Some(id) = placed.change.change.subject() {
                policy.remember(id, placed.cursor.position.revision);
            }
        }
        self.history.replace(cursor, policy, kept);
        Ok(())
    }
}

impl Intake {
    /// The changes that led here, so that watchers can resume although this process is new; none where one of them is
    /// of a version that this program does not know.
    async fn kept(&self, events: &[StoredEvent]) -> Result<Vec<Placed<Committed>>, StoreError> {
        match self.read(events).await {
            Err(StoreError::Corrupt(problem)) => {
                tracing::warn!(problem, "older changes cannot be read, watchers begin anew");
                Ok(Vec::new())
            }
            read => read,
        }
    }

    async fn read(&self, events: &[StoredEvent]) -> Result<Vec<Placed<Committed>>, StoreError> {
        let changes = self.store.read_changes(events).await.map_err(stored)?;
        Ok(events
            .iter()
            .zip(changes)
            .map(|(event, change)| Placed {
                cursor: event.cursor(),
                change: Arc::new(change),
            })
            .collect())
    }
}

/// Reading breaks no rule that could be told.
fn stored(error: Error) -> StoreError {
    match error {
        Error::Failed(error) => error,
        Error::Refused(_) => StoreError::Corrupt("reading the feed was refused".to_owned()),
    }
}
