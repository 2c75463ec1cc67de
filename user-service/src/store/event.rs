//! What the feed keeps of each change: no personal data, so that none outlives its user there.

use identity_kit::{
    database::{Event, WriteTransaction},
    outbox::StoredEvent,
};
use serde_json::json;

use crate::domain::{
    credential::{ChangeCause, HashChange},
    id::{RoleId, UserId, UserTypeId},
    permission::Permission,
};

/// The kinds of events, as they stand in the feed.
pub mod kinds {
    /// A user was created: `user_id`.
    pub const USER_CREATED: &str = "user_created";
    /// A profile changed: `user_id`.
    pub const USER_UPDATED: &str = "user_updated";
    /// A status changed: `user_id`, `status`.
    pub const USER_STATUS_CHANGED: &str = "user_status_changed";
    /// A user was deleted: `user_id`.
    pub const USER_DELETED: &str = "user_deleted";
    /// Roles or direct permissions of a user changed: `user_id`.
    pub const USER_RIGHTS_CHANGED: &str = "user_rights_changed";
    /// A password hash changed: `user_id`, `operation_id`, `cause`, `spared_session_id`, `credential_version`.
    pub const PASSWORD_CHANGED: &str = "password_changed";
    /// A role or its permissions changed, or it was created: `role_id`.
    pub const ROLE_CHANGED: &str = "role_changed";
    /// A role was deleted: `role_id`.
    pub const ROLE_DELETED: &str = "role_deleted";
    /// A permission changed or was created: `permission_id`, `name`.
    pub const PERMISSION_CHANGED: &str = "permission_changed";
    /// A permission was deleted: `permission_id`, and its `name`, which nobody can look up any more.
    pub const PERMISSION_DELETED: &str = "permission_deleted";
    /// A type of users changed, was created or was deleted: `user_type_id`.
    pub const USER_TYPE_CHANGED: &str = "user_type_changed";
    /// A subscription was created, changed, cancelled or renewed, or has ended: `user_id`.
    pub const SUBSCRIPTION_CHANGED: &str = "subscription_changed";
}

/// Whom an event erases, if anybody.
#[must_use]
pub fn erased(event: &StoredEvent) -> Option<&str> {
    if event.kind != kinds::USER_DELETED {
        return None;
    }
    event.payload.get("user_id")?.as_str()
}

pub(super) fn user(transaction: &WriteTransaction, kind: &'static str, id: &UserId) {
    transaction.emit(Event {
        kind,
        payload: json!({ "user_id": id.as_str() }),
    });
}

pub(super) fn user_status(transaction: &WriteTransaction, id: &UserId, status: &'static str) {
    transaction.emit(Event {
        kind: kinds::USER_STATUS_CHANGED,
        payload: json!({ "user_id": id.as_str(), "status": status }),
    });
}

pub(super) fn password_changed(transaction: &WriteTransaction, change: &HashChange, version: u64) {
    // Only a password that the user chose spares a session; a reset ends them all.
    let spared = match change.cause {
        ChangeCause::Change => change.spared_session_id.as_deref(),
        ChangeCause::Rehash | ChangeCause::Reset => None,
    };
    transaction.emit(Event {
        kind: kinds::PASSWORD_CHANGED,
        payload: json!({
            "user_id": change.user_id.as_str(),
            "operation_id": change.operation_id.as_str(),
            "cause": change.cause.as_str(),
            "spared_session_id": spared,
            "credential_version": version,
        }),
    });
}

pub(super) fn role(transaction: &WriteTransaction, kind: &'static str, id: &RoleId) {
    transaction.emit(Event {
        kind,
        payload: json!({ "role_id": id.as_str() }),
    });
}

pub(super) fn permission(
    transaction: &WriteTransaction,
    kind: &'static str,
    permission: &Permission,
) {
    let (id, name) = (permission.id.as_str(), permission.name.as_str());
    transaction.emit(Event {
        kind,
        payload: json!({ "permission_id": id, "name": name }),
    });
}

pub(super) fn user_type(transaction: &WriteTransaction, id: &UserTypeId) {
    transaction.emit(Event {
        kind: kinds::USER_TYPE_CHANGED,
        payload: json!({ "user_type_id": id.as_str() }),
    });
}
