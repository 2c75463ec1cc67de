//! Feed to wire, and the words of a watcher from it.

use std::{sync::Arc, time::Duration};

use identity_guard::{
    engine::{AccessState, Source},
    position::Position,
    status::Failure,
};
use identity_kit::{
    feed::{Freshness, Heard, Placed, Protocol, Start},
    outbox::Cursor,
    violations::Violations,
};
use identity_proto::auth::v1::{
    self as wire, WatchRequest, WatchResponse,
    access_change::Change as WireChange,
    watch_request::{Message as Say, Start as WireStart},
    watch_response::{Changes, Checkpoint, Goodbye, Message, Pong, Reset, Snapshot},
};

use super::memory::{AccessLedger, Change};
use crate::{
    domain::{
        event::{SessionRevoked, SubjectRevoked},
        id::{SessionId, UserId},
    },
    grpc::signing_key_to_wire,
};

/// The words of the access feed.
pub(super) struct Words {
    /// The `iss` of the tokens.
    pub(super) issuer: String,
    /// What is known here of the other source, which is passed on and never made younger.
    pub(super) state: Arc<AccessState>,
}

/// How far a snapshot has been sent: first the sessions, then the users.
pub(super) enum Place {
    Sessions(SessionId),
    Subjects(UserId),
}

impl Protocol for Words {
    type Ledger = AccessLedger;
    type Request = WatchRequest;
    type Response = WatchResponse;
    /// Everything is for everybody.
    type Wanted = ();
    type Place = Place;

    fn hear(&self, request: WatchRequest) -> Result<Heard<()>, Failure> {
        Ok(match request.message {
            Some(Say::Start(start)) => Heard::Start(beginning(start)?),
            Some(Say::Ping(ping)) => Heard::Ping(ping.nonce),
            Some(Say::Acknowledge(taken)) => Heard::Acknowledge(taken.position.map(cursor)),
            None => Heard::Unknown,
        })
    }

    fn part(&self, ledger: &AccessLedger, after: Option<Place>) -> Option<(Place, WatchResponse)> {
        let after = match &after {
            None => None,
            Some(Place::Sessions(id)) => Some(id),
            Some(Place::Subjects(id)) => return self.subjects(ledger, Some(id)),
        };
        let sessions = ledger.sessions(after);
        let Some(last) = sessions.last() else {
            return self.subjects(ledger, None);
        };
        let place = Place::Sessions(last.session_id.clone());
        let part = Snapshot {
            sessions: sessions.into_iter().map(session).collect(),
            ..self.snapshot()
        };
        Some((place, message(Message::Snapshot(part))))
    }

    fn last_part(&self, ledger: &AccessLedger, cursor: &Cursor) -> WatchResponse {
        message(Message::Snapshot(Snapshot {
            signing_keys: ledger.keys().iter().map(signing_key_to_wire).collect(),
            position: Some(to_wire(cursor)),
            ..self.snapshot()
        }))
    }

    fn changes(&self, (): &(), changes: &[Placed<Change>]) -> Option<WatchResponse> {
        let changes = changes.iter().map(change).collect();
        Some(message(Message::Changes(Changes { changes })))
    }

    fn reset(&self) -> WatchResponse {
        message(Message::Reset(Reset {}))
    }

    fn checkpoint(&self, freshness: Option<Freshness<'_>>) -> WatchResponse {
        let sources = self.sources(freshness);
        message(Message::Checkpoint(Checkpoint { sources }))
    }

    fn pong(&self, nonce: u64, freshness: Option<Freshness<'_>>) -> WatchResponse {
        let sources = self.sources(freshness);
        message(Message::Pong(Pong { nonce, sources }))
    }

    fn goodbye(&self, delay: Duration) -> WatchResponse {
        message(Message::Goodbye(Goodbye {
            reconnect_delay: prost_types::Duration::try_from(delay).ok(),
        }))
    }
}

impl Words {
    fn subjects(
        &self,
        ledger: &AccessLedger,
        after: Option<&UserId>,
    ) -> Option<(Place, WatchResponse)> {
        let subjects = ledger.subjects(after);
        let place = Place::Subjects(subjects.last()?.user_id.clone());
        let part = Snapshot {
            subjects: subjects.into_iter().map(subject).collect(),
            ..self.snapshot()
        };
        Some((place, message(Message::Snapshot(part))))
    }

    /// The own database as a source, nothing before it was ever proven; and the database of user-service, as far as its
    /// changes are applied here and as old as that is by now.
    fn sources(&self, freshness: Option<Freshness<'_>>) -> Vec<wire::SourceState> {
        let own = freshness.map(|freshness| wire::SourceState {
            source: wire::FeedSource::Auth.into(),
            position: Some(to_wire(freshness.cursor)),
            age: prost_types::Duration::try_from(freshness.age).ok(),
        });
        let users = self.state.source(Source::User).and_then(|known| {
            Some(wire::SourceState {
                source: wire::FeedSource::User.into(),
                position: Some(wire::FeedCursor {
                    epoch: known.position.epoch,
                    revision: known.position.revision,
                    nonce: String::new(),
                }),
                age: prost_types::Duration::try_from(known.age?).ok(),
            })
        });
        own.into_iter().chain(users).collect()
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            issuer: self.issuer.clone(),
            ..Snapshot::default()
        }
    }
}

fn beginning(start: WireStart) -> Result<Start<()>, Failure> {
    let mut violations = Violations::new();
    let begun = Start::read(
        &mut violations,
        start.cursor.map(cursor),
        start.max_staleness,
        [start.watcher_id, start.watcher_name],
        (),
    );
    violations.finish()?;
    Ok(begun)
}

fn change(placed: &Placed<Change>) -> wire::AccessChange {
    let change = match &*placed.change {
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

fn cursor(cursor: wire::FeedCursor) -> Cursor {
    Cursor {
        position: Position::new(cursor.epoch, cursor.revision),
        nonce: Some(cursor.nonce).filter(|nonce| !nonce.is_empty()),
    }
}

fn message(message: Message) -> WatchResponse {
    WatchResponse {
        message: Some(message),
    }
}
