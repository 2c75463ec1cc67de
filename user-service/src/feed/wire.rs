//! Feed to wire, and the words of a watcher from it.

use std::{collections::BTreeSet, time::Duration};

use identity_kit::{
    feed::{Freshness, Heard, PART, Placed, Protocol, Start},
    outbox::Cursor,
    status::Failure,
    violations::Violations,
};
use identity_proto::user::v1::{
    self as wire, ChangeKind, WatchRequest, WatchResponse,
    watch_request::{Message as Say, Start as WireStart},
    watch_response::{Changes, Checkpoint, Goodbye, Message, Pong, Reset, Snapshot},
};

use super::render::{change, cursor, kind, role, to_wire};
use crate::domain::{
    change::{Change, Committed, Policy, RolePolicy},
    id::{RoleId, UserId},
};

/// The most permissions that the roles of one part have together, so that a part stays far below the largest message.
const MAX_PERMISSIONS: usize = 10_000;

/// The words of the change feed.
pub(super) struct Words;

/// The kinds of changes that a watcher wants; all of them when it named none.
pub(super) struct Wanted(Option<BTreeSet<i32>>);

/// How far a snapshot has been sent: first the roles, then who changed.
pub(super) enum Place {
    Roles(RoleId),
    Subjects(Option<UserId>),
}

impl Protocol for Words {
    type Ledger = Policy;
    type Request = WatchRequest;
    type Response = WatchResponse;
    type Wanted = Wanted;
    type Place = Place;

    fn hear(&self, request: WatchRequest) -> Result<Heard<Wanted>, Failure> {
        Ok(match request.message {
            Some(Say::Start(start)) => Heard::Start(beginning(start)?),
            Some(Say::Ping(ping)) => Heard::Ping(ping.nonce),
            Some(Say::Acknowledge(taken)) => Heard::Acknowledge(taken.position.map(cursor)),
            None => Heard::Unknown,
        })
    }

    fn part(&self, policy: &Policy, after: Option<Place>) -> Option<(Place, WatchResponse)> {
        let after = match &after {
            None => None,
            Some(Place::Roles(id)) => Some(id),
            Some(Place::Subjects(id)) => return subjects(policy, id.as_ref()),
        };
        let roles = some_roles(policy.roles_after(after));
        let Some(last) = roles.last() else {
            return subjects(policy, None);
        };
        let place = Place::Roles(last.id.clone());
        let roles = roles.into_iter().map(role).collect();
        Some((
            place,
            snapshot(Snapshot {
                roles,
                ..Snapshot::default()
            }),
        ))
    }

    fn last_part(&self, policy: &Policy, cursor: &Cursor) -> WatchResponse {
        snapshot(Snapshot {
            floor_revision: policy.floor(),
            position: Some(to_wire(cursor)),
            ..Snapshot::default()
        })
    }

    fn changes(&self, wanted: &Wanted, changes: &[Placed<Committed>]) -> Option<WatchResponse> {
        let changes: Vec<_> = changes
            .iter()
            .filter(|placed| wanted.covers(&placed.change.change))
            .map(change)
            .collect();
        (!changes.is_empty()).then(|| message(Message::Changes(Changes { changes })))
    }

    fn reset(&self) -> WatchResponse {
        message(Message::Reset(Reset {}))
    }

    fn checkpoint(&self, freshness: Option<Freshness<'_>>) -> WatchResponse {
        let (position, age) = state(freshness);
        message(Message::Checkpoint(Checkpoint { position, age }))
    }

    fn pong(&self, nonce: u64, freshness: Option<Freshness<'_>>) -> WatchResponse {
        let (position, age) = state(freshness);
        message(Message::Pong(Pong {
            nonce,
            position,
            age,
        }))
    }

    fn goodbye(&self, delay: Duration) -> WatchResponse {
        message(Message::Goodbye(Goodbye {
            reconnect_delay: prost_types::Duration::try_from(delay).ok(),
        }))
    }
}

impl Wanted {
    fn covers(&self, change: &Change) -> bool {
        self.0
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&kind(change).into()))
    }
}

fn beginning(start: WireStart) -> Result<Start<Wanted>, Failure> {
    let mut violations = Violations::new();
    let mut kinds = BTreeSet::new();
    for (index, raw) in start.kinds.iter().enumerate() {
        let known = ChangeKind::try_from(*raw).is_ok_and(|kind| kind != ChangeKind::Unspecified);
        if !known {
            let field = format!("start.kinds[{index}]");
            violations.add(field, "must be a value of the enum");
        } else if !kinds.insert(*raw) {
            violations.add(format!("start.kinds[{index}]"), "must not be repeated");
        }
    }
    let begun = Start::read(
        &mut violations,
        start.cursor.map(cursor),
        start.max_staleness,
        [start.watcher_id, start.watcher_name],
        Wanted((!kinds.is_empty()).then_some(kinds)),
    );
    violations.finish()?;
    Ok(begun)
}

/// The first of the roles, as many as make one part; one at least.
fn some_roles<'p>(roles: impl Iterator<Item = &'p RolePolicy>) -> Vec<&'p RolePolicy> {
    let mut permissions = 0;
    roles
        .take(PART)
        .take_while(|role| {
            let fits = permissions == 0 || permissions + role.permissions.len() <= MAX_PERMISSIONS;
            permissions += role.permissions.len();
            fits
        })
        .collect()
}

fn subjects(policy: &Policy, after: Option<&UserId>) -> Option<(Place, WatchResponse)> {
    let some: Vec<_> = policy.subjects_after(after).take(PART).collect();
    let (last, _) = some.last()?;
    let place = Place::Subjects(Some((*last).clone()));
    let subjects = some
        .into_iter()
        .map(|(id, revision)| wire::SubjectChange {
            user_id: id.as_str().to_owned(),
            revision,
        })
        .collect();
    Some((
        place,
        snapshot(Snapshot {
            subjects,
            ..Snapshot::default()
        }),
    ))
}

fn state(
    freshness: Option<Freshness<'_>>,
) -> (Option<wire::ChangeCursor>, Option<prost_types::Duration>) {
    freshness.map_or((None, None), |freshness| {
        let age = prost_types::Duration::try_from(freshness.age).ok();
        (Some(to_wire(freshness.cursor)), age)
    })
}

fn snapshot(snapshot: Snapshot) -> WatchResponse {
    message(Message::Snapshot(snapshot))
}

fn message(message: Message) -> WatchResponse {
    WatchResponse {
        message: Some(message),
    }
}
