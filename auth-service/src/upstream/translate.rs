//! From the wire's words to this service's own: everything understood, or nothing taken.

use identity_guard::position::Position;
use identity_kit::outbox::Cursor;
use identity_proto::user::v1::{
    self as wire, ChangeKind, PasswordChangeCause, UserStatus, change::Change,
};

use crate::{
    domain::{
        id::{SessionId, UserId},
        user_change::UserChange,
    },
    store::user_feed::PlacedChange,
};

/// What can end something here. Rights are not among them: they are read anew whenever they count.
pub(super) const KINDS: [ChangeKind; 3] = [
    ChangeKind::UserStatusChanged,
    ChangeKind::UserDeleted,
    ChangeKind::PasswordChanged,
];

/// A message says something that this version does not understand; the text says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUnderstood(pub(super) &'static str);

/// A change and its place.
pub(super) fn change(change: wire::Change) -> Result<PlacedChange, NotUnderstood> {
    let cursor = cursor(change.position)?;
    let change = match change.change.ok_or(NotUnderstood("kind of change"))? {
        Change::UserStatusChanged(changed) => match changed.status() {
            UserStatus::Active => UserChange::Nothing,
            UserStatus::Inactive | UserStatus::Suspended => {
                UserChange::Unusable(user_id(changed.user_id)?)
            }
            UserStatus::Unspecified => return Err(NotUnderstood("status")),
        },
        Change::UserDeleted(deleted) => UserChange::Deleted(user_id(deleted.user_id)?),
        Change::PasswordChanged(changed) => password(changed)?,
        // Not asked for, and understood all the same.
        Change::UserCreated(_)
        | Change::UserUpdated(_)
        | Change::UserRightsChanged(_)
        | Change::RoleChanged(_)
        | Change::RoleDeleted(_)
        | Change::PermissionChanged(_)
        | Change::PermissionDeleted(_)
        | Change::UserTypeChanged(_)
        | Change::SubscriptionChanged(_) => UserChange::Nothing,
    };
    Ok(PlacedChange { cursor, change })
}

fn password(changed: wire::change::PasswordChanged) -> Result<UserChange, NotUnderstood> {
    let spared = match changed.cause() {
        PasswordChangeCause::Rehash => return Ok(UserChange::Nothing),
        PasswordChangeCause::Change => changed.spared_session_id,
        PasswordChangeCause::Reset => String::new(),
        PasswordChangeCause::Unspecified => return Err(NotUnderstood("cause")),
    };
    Ok(UserChange::PasswordChanged {
        user_id: user_id(changed.user_id)?,
        spared: (!spared.is_empty()).then(|| SessionId::trusted(spared)),
    })
}

/// A place.
pub(super) fn cursor(cursor: Option<wire::ChangeCursor>) -> Result<Cursor, NotUnderstood> {
    let cursor = cursor
        .filter(|cursor| !cursor.epoch.is_empty())
        .ok_or(NotUnderstood("position"))?;
    Ok(Cursor {
        position: Position::new(cursor.epoch, cursor.revision),
        nonce: Some(cursor.nonce).filter(|nonce| !nonce.is_empty()),
    })
}

/// A place for the wire.
pub(super) fn to_wire(cursor: &Cursor) -> wire::ChangeCursor {
    wire::ChangeCursor {
        epoch: cursor.position.epoch.clone(),
        revision: cursor.position.revision,
        nonce: cursor.nonce.clone().unwrap_or_default(),
    }
}

fn user_id(id: String) -> Result<UserId, NotUnderstood> {
    if id.is_empty() {
        return Err(NotUnderstood("user"));
    }
    Ok(UserId::trusted(id))
}

#[cfg(test)]
mod tests {
    use identity_proto::user::v1::change::{PasswordChanged, UserStatusChanged};

    use super::*;

    fn at(change: Change) -> wire::Change {
        wire::Change {
            position: Some(wire::ChangeCursor {
                epoch: "e".into(),
                revision: 3,
                nonce: "n".into(),
            }),
            commit_time: None,
            change: Some(change),
        }
    }

    fn status(status: i32) -> wire::Change {
        at(Change::UserStatusChanged(UserStatusChanged {
            user_id: "ada".into(),
            status,
        }))
    }

    #[test]
    fn only_a_status_that_shuts_out_ends_something() {
        let read = |status: UserStatus| change(self::status(status.into())).unwrap().change;
        let ada = || UserId::trusted("ada");
        assert_eq!(read(UserStatus::Suspended), UserChange::Unusable(ada()));
        assert_eq!(read(UserStatus::Inactive), UserChange::Unusable(ada()));
        assert_eq!(read(UserStatus::Active), UserChange::Nothing);
    }

    #[test]
    fn a_new_password_spares_the_session_that_it_names_and_a_rehash_ends_nothing() {
        let read = |cause: PasswordChangeCause| {
            let changed = PasswordChanged {
                user_id: "ada".into(),
                cause: cause.into(),
                spared_session_id: "s".into(),
                ..PasswordChanged::default()
            };
            change(at(Change::PasswordChanged(changed))).unwrap().change
        };
        let changed = |spared: Option<&str>| UserChange::PasswordChanged {
            user_id: UserId::trusted("ada"),
            spared: spared.map(SessionId::trusted),
        };
        assert_eq!(read(PasswordChangeCause::Change), changed(Some("s")));
        assert_eq!(read(PasswordChangeCause::Reset), changed(None));
        assert_eq!(read(PasswordChangeCause::Rehash), UserChange::Nothing);
    }

    #[test]
    fn what_is_not_understood_is_never_taken_for_nothing() {
        let nowhere = wire::Change {
            position: None,
            ..status(1)
        };
        let unknown = wire::Change {
            change: None,
            ..status(1)
        };
        let nobody = at(Change::UserDeleted(wire::change::UserDeleted::default()));
        for wire in [status(0), status(99), nowhere, unknown, nobody] {
            assert!(change(wire).is_err());
        }
    }
}
