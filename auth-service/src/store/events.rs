//! The events of the access feed in the outbox: ids only.

use identity_guard::clock::Timestamp;
use identity_kit::{
    database::{Event, WriteTransaction},
    outbox::StoredEvent,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::domain::{
    event::{AccessEvent, SessionRevoked, SubjectRevoked},
    id::{SessionId, UserId},
};

const SESSION_REVOKED: &str = "session_revoked";
const SUBJECT_REVOKED: &str = "subject_revoked";
const SIGNING_KEY_CHANGED: &str = "signing_key_changed";

/// The outbox has an event that this program does not know: what it means must be read from the tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown event {kind}")]
pub struct UnknownEvent {
    /// Its kind.
    pub kind: String,
}

/// Appends an event to the transaction.
pub(super) fn emit(transaction: &WriteTransaction, event: &AccessEvent) {
    let (kind, payload) = match event {
        AccessEvent::SessionRevoked(event) => (
            SESSION_REVOKED,
            to_json(&SessionPayload {
                session_id: event.session_id.as_str().to_owned(),
                user_id: event.user_id.as_str().to_owned(),
                retain_until: event.retain_until.as_micros(),
            }),
        ),
        AccessEvent::SubjectRevoked(event) => (
            SUBJECT_REVOKED,
            to_json(&SubjectPayload {
                user_id: event.user_id.as_str().to_owned(),
                generation: event.generation,
                retain_until: event.retain_until.as_micros(),
            }),
        ),
        AccessEvent::SigningKeyChanged { key_id } => (
            SIGNING_KEY_CHANGED,
            to_json(&KeyPayload {
                key_id: key_id.clone(),
            }),
        ),
    };
    transaction.emit(Event { kind, payload });
}

/// Reads an event of the outbox.
///
/// # Errors
///
/// [`UnknownEvent`] for a kind or a payload that this program does not write.
pub fn read(event: &StoredEvent) -> Result<AccessEvent, UnknownEvent> {
    let unknown = || UnknownEvent {
        kind: event.kind.clone(),
    };
    match event.kind.as_str() {
        SESSION_REVOKED => {
            let payload: SessionPayload = from_json(&event.payload).ok_or_else(unknown)?;
            Ok(AccessEvent::SessionRevoked(SessionRevoked {
                session_id: SessionId::trusted(payload.session_id),
                user_id: UserId::trusted(payload.user_id),
                retain_until: Timestamp::from_micros(payload.retain_until),
            }))
        }
        SUBJECT_REVOKED => {
            let payload: SubjectPayload = from_json(&event.payload).ok_or_else(unknown)?;
            Ok(AccessEvent::SubjectRevoked(SubjectRevoked {
                user_id: UserId::trusted(payload.user_id),
                generation: payload.generation,
                retain_until: Timestamp::from_micros(payload.retain_until),
            }))
        }
        SIGNING_KEY_CHANGED => {
            let payload: KeyPayload = from_json(&event.payload).ok_or_else(unknown)?;
            Ok(AccessEvent::SigningKeyChanged {
                key_id: payload.key_id,
            })
        }
        _ => Err(unknown()),
    }
}

#[derive(Serialize, Deserialize)]
struct SessionPayload {
    session_id: String,
    user_id: String,
    retain_until: i64,
}

#[derive(Serialize, Deserialize)]
struct SubjectPayload {
    user_id: String,
    generation: u64,
    retain_until: i64,
}

#[derive(Serialize, Deserialize)]
struct KeyPayload {
    key_id: String,
}

fn to_json(payload: &impl Serialize) -> Value {
    // Structs of text and numbers always have a JSON form.
    serde_json::to_value(payload).unwrap_or_default()
}

fn from_json<T: DeserializeOwned>(payload: &Value) -> Option<T> {
    T::deserialize(payload).ok()
}
