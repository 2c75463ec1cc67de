//! The end: somebody is deleted for good, and everybody who decides has heard of it.

use serde_json::{Value, json};

use super::story::{Person, Story, text};

const DELETE: &str = "UserService/DeleteUser";
const GET: &str = "UserService/GetUser";
const AWAIT: &str = "RevisionService/AwaitRevision";

/// Ivan is deleted; the answer is the revision of that.
pub(super) fn is_for_good(story: &Story, ivan: &Person) -> String {
    let own = json!({"user_id": ivan.id});
    story.by(Some(&ivan.token), GET, own.clone());
    let stale = json!({"user_id": ivan.id, "etag": "stale"});
    story.admin_refused(DELETE, stale, "ETAG_MISMATCH");
    let deleted = story.admin(DELETE, own.clone());
    let revision = text(&deleted, "/revision");
    let heard = story.admin(AWAIT, json!({"revision": revision}));
    let count = heard.pointer("/acknowledgedCount").and_then(Value::as_u64);
    assert!(count >= Some(1), "auth-service has heard: {heard}");
    story.admin_refused(AWAIT, json!({"revision": "forged"}), "INVALID_FIELDS");

    story.admin_refused(GET, own.clone(), "USER_NOT_FOUND");
    story.admin_refused(DELETE, own.clone(), "USER_NOT_FOUND");
    story.refused(Some(&ivan.token), GET, own, "TOKEN_REVOKED");
    let admins = story.admin("UserService/ListUsers", json!({"query": "root-admin"}));
    let last = json!({"user_id": text(&admins, "/users/0/id")});
    story.admin_refused(DELETE, last, "LAST_ADMINISTRATOR");
    revision
}
