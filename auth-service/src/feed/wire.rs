//! Feed to wire, and the first words of a watcher from it.

use std::time::Duration;

use identity_guard::{position::Position, status::Failure};
use identity_kit::{outbox::Cursor, violations::Violations};
use identity_proto::auth::v1::{
    self as wire, WatchResponse,
    access_change::Change as WireChange,
    watch_request::Start,
    watch_response::{Changes, Checkpoint, Goodbye, Message, Pong, Reset, Snapshot},
};

use super::memory::{Change, Placed};
use crate::{
    domain::{
        event::{SessionRevoked, SubjectRevoked},
        signing_key::SigningKey,
    },
    grpc::signing_key_to_wire,
};

/// The shortest and the longest lease.
const LEASES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_mins(5);
/// The longest name of a watcher, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// How a watcher begins.
pub(super) struct Beginning {
    pub(super) cursor: Option<Cursor>,
    pub(super) watcher: String,
}

/// Reads the first message.
pub(super) fn beginning(start: Option<Start>) -> Result<Beginning, Failure> {
    let mut violations = Violations::new();
    let Some(start) = start else {
        violations.add("start", "must be the first message");
        violations.finish()?;
        return Err(Failure::internal());
    };
    let lease = start
        .max_staleness
        .and_then(|lease| Duration::try_from(lease).ok());
    if !lease.is_some_and(|lease| LEASES.contains(&lease)) {
        violations.add("start.max_staleness", "must be 100 ms to 5 min");
    }
    let name = &start.watcher_name;
    let valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:-".contains(&byte);
    if name.len() > MAX_NAME_LENGTH || !name.bytes().all(valid) {
        violations.add(
            "start.watcher_name",
            "must be at most 64 characters of a-z, 0-9, '.', '_', ':' and '-'",
        );
    }
    violations.finish()?;
    Ok(Beginning {
        cursor: start.cursor.map(|cursor| Cursor {
            position: Position::new(cursor.epoch, cursor.revision),
            nonce: Some(cursor.nonce).filter(|nonce| !nonce.is_empty()),
        }),
        watcher: start.watcher_name,
    })
}

/// Everything follows.
pub(super) fn reset() -> WatchResponse {
    message(Message::Reset(Reset {}))
}

/// Sessions of a snapshot.
pub(super) fn sessions(issuer: &str, sessions: &[SessionRevoked]) -> WatchResponse {
    message(Message::Snapshot(Snapshot {
        issuer: issuer.to_owned(),
        sessions: sessions.iter().map(session).collect(),
        ..Snapshot::default()
    }))
}

/// Subjects of a snapshot.
pub(super) fn subjects(issuer: &str, subjects: &[SubjectRevoked]) -> WatchResponse {
    message(Message::Snapshot(Snapshot {
        issuer: issuer.to_owned(),
        subjects: subjects.iter().map(subject).collect(),
        ..Snapshot::default()
    }))
}

/// The last part of a snapshot: the keys, and the position that its parts together have.
pub(super) fn last_part(issuer: &str, keys: &[SigningKey], cursor: &Cursor) -> WatchResponse {
    message(Message::Snapshot(Snapshot {
        issuer: issuer.to_owned(),
        signing_keys: keys.iter().map(signing_key_to_wire).collect(),
        position: Some(to_wire(cursor)),
        ..Snapshot::default()
    }))
}

/// Changes in order.
pub(super) fn changes(changes: &[Placed]) -> WatchResponse {
    message(Message::Changes(Changes {
        changes: changes.iter().map(change).collect(),
    }))
}

/// How new the state is.
pub(super) fn checkpoint(sources: Vec<wire::SourceState>) -> WatchResponse {
    message(Message::Checkpoint(Checkpoint { sources }))
}

/// The answer to a ping.
pub(super) fn pong(nonce: u64, sources: Vec<wire::SourceState>) -> WatchResponse {
    message(Message::Pong(Pong { nonce, sources }))
}

/// The end of the stream, with the least time to wait.
pub(super) fn goodbye(delay: Duration) -> WatchResponse {
    message(Message::Goodbye(Goodbye {
        reconnect_delay: prost_types::Duration::try_from(delay).ok(),
    }))
}

/// The own database as a source.
pub(super) fn source(cursor: &Cursor, age: Duration) -> wire::SourceState {
    wire::SourceState {
        source: wire::FeedSource::Auth.into(),
        position: Some(to_wire(cursor)),
        age: prost_types::Duration::try_from(age).ok(),
    }
}

fn change(placed: &Placed) -> wire::AccessChange {
    let change = match &placed.change {
        Change::Session(revoked) => WireChange::SessionRevoked(session(revoked)),
        Change::Subject(revoked) => WireChange::SubjectRevoked(subject(revoked)),
        Change::Key(key) => WireChange::SigningKeyChanged(signing_key_to_wire(key)),
    };
    wire::AccessChange {
        position: Some(to_wire(&placed.cursor)),
        change: Some(change),
    }
}

fn session(revoked: &SessionRevoked) -> wire::SessionRevoked {
    wire::SessionRevoked {
        session_id: revoked.session_id.as_str().to_owned(),
        user_id: revoked.user_id.as_str().to_owned(),
        retain_until_time: Some(revoked.retain_until.into()),
    }
}

fn subject(revoked: &SubjectRevoked) -> wire::SubjectRevoked {
    wire::SubjectRevoked {
        user_id: revoked.user_id.as_str().to_owned(),
        generation: revoked.generation,
        retain_until_time: Some(revoked.retain_until.into()),
    }
}

fn to_wire(cursor: &Cursor) -> wire::FeedCursor {
    wire::FeedCursor {
        epoch: cursor.position.epoch.clone(),
        revision: cursor.position.revision,
        nonce: cursor.nonce.clone().unwrap_or_default(),
    }
}

fn message(message: Message) -> WatchResponse {
    WatchResponse {
        message: Some(message),
    }
}
