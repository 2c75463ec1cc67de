//! From the wire's words to the engine's: everything understood, or nothing taken.

use identity_proto::auth::v1::{
    self as wire, FeedCursor, FeedSource, SigningKeyState, access_change::Change,
};

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Timestamp,
    engine::{
        AccessChange, KeyChange, SessionRevocation, Snapshot, Source, SubjectRevocation,
        VerifyingKey,
    },
    position::Position,
};

/// A message says something that this version does not understand; the text says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUnderstood(pub(super) &'static str);

type Understood<T> = Result<T, NotUnderstood>;

/// A change and its position.
pub(super) fn change(change: wire::AccessChange) -> Understood<(FeedCursor, AccessChange)> {
    let cursor = cursor(change.position)?;
    let change = match change.change.ok_or(NotUnderstood("kind of change"))? {
        Change::SessionRevoked(revoked) => AccessChange::Session(session(revoked)?),
        Change::SubjectRevoked(revoked) => AccessChange::Subject(subject(revoked)?),
        Change::SigningKeyChanged(changed) => AccessChange::Key(key(&changed)?),
    };
    Ok((cursor, change))
}

/// Adds a part to a snapshot; the cursor when it is the last one.
pub(super) fn add_part(
    snapshot: &mut Snapshot,
    part: wire::watch_response::Snapshot,
) -> Understood<Option<FeedCursor>> {
    for signing_key in &part.signing_keys {
        snapshot.keys.push(key(signing_key)?);
    }
    for revoked in part.sessions {
        snapshot.sessions.push(session(revoked)?);
    }
    for revoked in part.subjects {
        snapshot.subjects.push(subject(revoked)?);
    }
    if part.position.is_none() {
        return Ok(None);
    }
    let cursor = cursor(part.position)?;
    snapshot.position = position(&cursor);
    Ok(Some(cursor))
}

/// A source's state: where it is and how old that is. `None` for what proves nothing here: a source that this
/// version does not know, or one without a position or a sound age.
pub(super) fn source(state: &wire::SourceState) -> Option<(Source, FeedCursor, Duration)> {
    let source = match state.source() {
        FeedSource::Auth => Source::Auth,
        FeedSource::User => Source::User,
        FeedSource::Unspecified => return None,
    };
    let cursor = cursor(state.position.clone()).ok()?;
    let age = Duration::try_from(state.age?).ok()?;
    Some((source, cursor, age))
}

pub(super) fn position(cursor: &FeedCursor) -> Position {
    Position::new(cursor.epoch.clone(), cursor.revision)
}

fn cursor(cursor: Option<FeedCursor>) -> Understood<FeedCursor> {
    cursor
        .filter(|cursor| !cursor.epoch.is_empty())
        .ok_or(NotUnderstood("position"))
}

fn session(revoked: wire::SessionRevoked) -> Understood<SessionRevocation> {
    Ok(SessionRevocation {
        session_id: id(revoked.session_id)?,
        retain_until: retain_until(revoked.retain_until_time)?,
    })
}

fn subject(revoked: wire::SubjectRevoked) -> Understood<SubjectRevocation> {
    Ok(SubjectRevocation {
        user_id: id(revoked.user_id)?,
        generation: revoked.generation,
        retain_until: retain_until(revoked.retain_until_time)?,
    })
}

fn key(changed: &wire::SigningKey) -> Understood<KeyChange> {
    match changed.state() {
        SigningKeyState::Unspecified => Err(NotUnderstood("state of a key")),
        SigningKeyState::Withdrawn => Ok(KeyChange::Withdrawn {
            kid: id(changed.key_id.clone())?,
        }),
        SigningKeyState::Published | SigningKeyState::Active | SigningKeyState::Retired => {
            let key = VerifyingKey::from_jwk_json(&changed.public_jwk)
                .map_err(|_| NotUnderstood("public key"))?;
            // Each key has one id and one algorithm, whoever names them.
            if key.kid() != changed.key_id || key.algorithm().as_str() != changed.algorithm {
                return Err(NotUnderstood("names of a key"));
            }
            Ok(KeyChange::Valid(Arc::new(key)))
        }
    }
}

fn id(id: String) -> Understood<String> {
    if id.is_empty() {
        return Err(NotUnderstood("id"));
    }
    Ok(id)
}

fn retain_until(time: Option<prost_types::Timestamp>) -> Understood<Timestamp> {
    time.map(Timestamp::from)
        .ok_or(NotUnderstood("end of a revocation"))
}
