//! Changes, roles and cursors as they stand on the wire.

use identity_kit::{feed::Placed, outbox::Cursor, position::Position};
use identity_proto::user::v1::{
    self as wire, ChangeKind,
    change::{self as of, Change as WireChange},
};

use crate::{
    domain::{
        change::{Change, Committed, PasswordChanged, RolePolicy},
        credential::ChangeCause,
        id::UserId,
        name::PermissionName,
    },
    grpc::convert,
};

/// What a role gives.
pub(super) fn role(role: &RolePolicy) -> wire::RolePolicy {
    let name = |name: &PermissionName| name.as_str().to_owned();
    wire::RolePolicy {
        role_id: role.id.as_str().to_owned(),
        name: role.name.as_str().to_owned(),
        built_in: role.built_in,
        permissions: role.permissions.iter().map(name).collect(),
    }
}

/// A change and its place.
pub(super) fn change(placed: &Placed<Committed>) -> wire::Change {
    let user_id = |id: &UserId| id.as_str().to_owned();
    let change = match &placed.change.change {
        Change::UserCreated(id) => WireChange::UserCreated(of::UserCreated {
            user_id: user_id(id),
        }),
        Change::UserUpdated(id) => WireChange::UserUpdated(of::UserUpdated {
            user_id: user_id(id),
        }),
        Change::UserStatusChanged(id, status) => {
            WireChange::UserStatusChanged(of::UserStatusChanged {
                user_id: user_id(id),
                status: convert::status(*status).into(),
            })
        }
        Change::UserDeleted(id) => WireChange::UserDeleted(of::UserDeleted {
            user_id: user_id(id),
        }),
        Change::UserRightsChanged(id) => WireChange::UserRightsChanged(of::UserRightsChanged {
            user_id: user_id(id),
        }),
        Change::PasswordChanged(changed) => WireChange::PasswordChanged(password(changed)),
        Change::RoleChanged(policy) => WireChange::RoleChanged(of::RoleChanged {
            role: Some(role(policy)),
        }),
        Change::RoleDeleted(id) => WireChange::RoleDeleted(of::RoleDeleted {
            role_id: id.as_str().to_owned(),
        }),
        Change::PermissionChanged(id, name) => {
            WireChange::PermissionChanged(of::PermissionChanged {
                permission_id: id.as_str().to_owned(),
                name: name.as_str().to_owned(),
            })
        }
        Change::PermissionDeleted(id, name) => {
            WireChange::PermissionDeleted(of::PermissionDeleted {
                permission_id: id.as_str().to_owned(),
                name: name.as_str().to_owned(),
            })
        }
        Change::UserTypeChanged(id) => WireChange::UserTypeChanged(of::UserTypeChanged {
            user_type_id: id.as_str().to_owned(),
        }),
        Change::SubscriptionChanged(id) => {
            WireChange::SubscriptionChanged(of::SubscriptionChanged {
                user_id: user_id(id),
            })
        }
    };
    wire::Change {
        position: Some(to_wire(&placed.cursor)),
        commit_time: Some(placed.change.at.into()),
        change: Some(change),
    }
}

fn password(changed: &PasswordChanged) -> of::PasswordChanged {
    let cause = match changed.cause {
        ChangeCause::Rehash => wire::PasswordChangeCause::Rehash,
        ChangeCause::Change => wire::PasswordChangeCause::Change,
        ChangeCause::Reset => wire::PasswordChangeCause::Reset,
    };
    of::PasswordChanged {
        user_id: changed.user_id.as_str().to_owned(),
        operation_id: changed.operation_id.as_str().to_owned(),
        cause: cause.into(),
        spared_session_id: changed.spared_session_id.clone().unwrap_or_default(),
        credential_version: changed.credential_version,
    }
}

/// What a watcher chooses a change by.
pub(super) const fn kind(change: &Change) -> ChangeKind {
    match change {
        Change::UserCreated(_) => ChangeKind::UserCreated,
        Change::UserUpdated(_) => ChangeKind::UserUpdated,
        Change::UserStatusChanged(..) => ChangeKind::UserStatusChanged,
        Change::UserDeleted(_) => ChangeKind::UserDeleted,
        Change::UserRightsChanged(_) => ChangeKind::UserRightsChanged,
        Change::PasswordChanged(_) => ChangeKind::PasswordChanged,
        Change::RoleChanged(_) => ChangeKind::RoleChanged,
        Change::RoleDeleted(_) => ChangeKind::RoleDeleted,
        Change::PermissionChanged(..) => ChangeKind::PermissionChanged,
        Change::PermissionDeleted(..) => ChangeKind::PermissionDeleted,
        Change::UserTypeChanged(_) => ChangeKind::UserTypeChanged,
        Change::SubscriptionChanged(_) => ChangeKind::SubscriptionChanged,
    }
}

/// A place.
pub(super) fn to_wire(cursor: &Cursor) -> wire::ChangeCursor {
    wire::ChangeCursor {
        epoch: cursor.position.epoch.clone(),
        revision: cursor.position.revision,
        nonce: cursor.nonce.clone().unwrap_or_default(),
    }
}

/// A place from the wire.
pub(super) fn cursor(cursor: wire::ChangeCursor) -> Cursor {
    Cursor {
        position: Position::new(cursor.epoch, cursor.revision),
        nonce: Some(cursor.nonce).filter(|nonce| !nonce.is_empty()),
    }
}
