//! Follows the own outbox into what decides here and what watchers are served from.

use std::{sync::Arc, time::Duration};

use identity_guard::{
    clock::SharedClock,
    engine::{
        AccessChange, AccessState, KeyChange, SessionRevocation, Snapshot, Source,
        SubjectRevocation, VerifyingKey,
    },
    position::Position,
};
use identity_kit::{
    database::{Database, StoreError},
    feed::{KEPT_CHANGES, Placed},
    outbox::{self, StoredEvent, TailHandler},
};

use super::memory::{AccessLedger, Change, FeedMemory, placed};
use crate::{
    authority::{KeyRing, KeyRingError},
    domain::{
        event::{AccessEvent, SessionRevoked, SubjectRevoked},
        signing_key::{KeyState, SigningKey},
    },
    store::{events, sessions, subjects},
};

/// Takes the events of the own outbox.
pub struct Intake {
    /// Where the tables are.
    pub database: Database,
    /// The signing keys.
    pub keys: Arc<KeyRing>,
    /// What decides about access tokens here.
    pub state: Arc<AccessState>,
    /// What watchers are served from.
    pub memory: Arc<FeedMemory>,
    /// Time.
    pub clock: SharedClock,
    /// How much longer than the tokens revocations are kept.
    pub leeway: Duration,
}

#[identity_kit::async_trait]
impl TailHandler for Intake {
    async fn apply(&self, events: &[StoredEvent]) -> Result<(), StoreError> {
        for event in events {
            let change = self.change(event).await?;
            self.state.apply_change(to_engine(&change)?);
            self.state.advance_to(event.position.clone());
            self.memory.push(placed(event.cursor(), change));
        }
        self.memory.wake();
        Ok(())
    }

    fn fresh(&self, position: &Position, at: Duration) {
        self.state
            .observe_source_at(Source::Auth, position.clone(), at);
        self.memory.prove(at);
    }

    async fn reset(&self) -> Result<(), StoreError> {
        let reader = self.database.aside();
        // The cursor before the tables: what is committed in between is taken twice, and nothing is missed.
        let (head, cursor) = outbox::head(reader).await?;
        let now = self.clock.now();
        self.keys.reload().await.map_err(key_failure)?;
        let keys = self.keys.list().to_vec();
        let sessions = sessions::list_revoked(reader, self.leeway, now).await?;
        let subjects = subjects::list_revoked(reader, now).await?;
        self.state.apply_snapshot(Snapshot {
            keys: keys.iter().map(key_to_engine).collect::<Result<_, _>>()?,
            sessions: sessions.iter().map(session_to_engine).collect(),
            subjects: subjects.iter().map(subject_to_engine).collect(),
            position: cursor.position.clone(),
        });
        let kept = self.kept_changes(head.revision).await?;
        let ledger = AccessLedger::new(keys, sessions, subjects);
        self.memory.replace(cursor, ledger, kept);
        Ok(())
    }
}

impl Intake {
    /// The changes that led to a revision, so that watchers can resume although this process is new.
    async fn kept_changes(&self, revision: u64) -> Result<Vec<Placed<Change>>, StoreError> {
        let kept = KEPT_CHANGES as u64;
        let from = revision.saturating_sub(kept);
        let mut changes = Vec::new();
        for event in outbox::read_after(self.database.aside(), from, kept).await? {
            if event.position.revision <= revision {
                changes.push(placed(event.cursor(), self.change(&event).await?));
            }
        }
        Ok(changes)
    }

    async fn change(&self, event: &StoredEvent) -> Result<Change, StoreError> {
        // A kind that this program does not know may be an end of something: standing still makes the state
        // stale, and stale means refused.
        let event = events::read(event).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(match event {
            AccessEvent::SessionRevoked(revoked) => Change::Session(revoked),
            AccessEvent::SubjectRevoked(revoked) => Change::Subject(revoked),
            AccessEvent::SigningKeyChanged { key_id } => Change::Key(self.key(&key_id).await?),
        })
    }

    async fn key(&self, key_id: &str) -> Result<SigningKey, StoreError> {
        self.keys.reload().await.map_err(key_failure)?;
        let keys = self.keys.list();
        let key = keys.iter().find(|key| key.id == key_id);
        key.cloned()
            .ok_or_else(|| StoreError::Corrupt(format!("the signing key {key_id} is missing")))
    }
}

fn to_engine(change: &Change) -> Result<AccessChange, StoreError> {
    Ok(match change {
        Change::Session(revoked) => AccessChange::Session(session_to_engine(revoked)),
        Change::Subject(revoked) => AccessChange::Subject(subject_to_engine(revoked)),
        Change::Key(key) => AccessChange::Key(key_to_engine(key)?),
    })
}

fn session_to_engine(revoked: &SessionRevoked) -> SessionRevocation {
    SessionRevocation {
        session_id: revoked.session_id.as_str().to_owned(),
        retain_until: revoked.retain_until,
    }
}

fn subject_to_engine(revoked: &SubjectRevoked) -> SubjectRevocation {
    SubjectRevocation {
        user_id: revoked.user_id.as_str().to_owned(),
        generation: revoked.generation,
        retain_until: revoked.retain_until,
    }
}

fn key_to_engine(key: &SigningKey) -> Result<KeyChange, StoreError> {
    if key.state == KeyState::Withdrawn {
        return Ok(KeyChange::Withdrawn {
            kid: key.id.clone(),
        });
    }
    VerifyingKey::from_jwk_json(&key.public_jwk)
        .map(|key| KeyChange::Valid(Arc::new(key)))
        .map_err(|error| StoreError::Corrupt(format!("the signing key {}: {error}", key.id)))
}

fn key_failure(error: KeyRingError) -> StoreError {
    match error {
        KeyRingError::Store(error) => error,
        error => StoreError::Corrupt(error.to_string()),
    }
}
