//! What is told of the journey: the feed from its first write to its last, in order, and the audit log.

use std::{collections::BTreeSet, ops::ControlFlow};

use serde_json::{Value, json};

use super::story::{Person, Story, says, text};

const WATCH: &str = "ChangeFeedService/Watch";
const LIST: &str = "AuditService/ListAuditEvents";

/// Everything that the feed can tell.
const KINDS: [&str; 12] = [
    "passwordChanged",
    "permissionChanged",
    "permissionDeleted",
    "roleChanged",
    "roleDeleted",
    "subscriptionChanged",
    "userCreated",
    "userDeleted",
    "userRightsChanged",
    "userStatusChanged",
    "userTypeChanged",
    "userUpdated",
];

fn start(cursor: &Value, id: &str) -> Value {
    json!({"start": {
        "cursor": cursor, "max_staleness": "0.5s", "watcher_name": "journey", "watcher_id": id,
    }})
}

/// Follows the feed from nothing: the answer is where a snapshot stands.
pub(super) fn follow_from_the_start(story: &Story) -> Value {
    story.stranger_refused(WATCH, start(&Value::Null, "stranger"));
    let nameless = json!({"start": {"max_staleness": "1s"}});
    story.service_refused(WATCH, nameless, "INVALID_FIELDS");
    let mut position = Value::Null;
    let answers = story.listen(WATCH, &start(&Value::Null, "first"), |answer| {
        if let Some(reached) = answer.pointer("/snapshot/position") {
            position = reached.clone();
            return ControlFlow::Continue(vec![
                json!({"acknowledge": {"position": reached}}),
                json!({"ping": {"nonce": "7"}}),
            ]);
        }
        match answer.pointer("/pong/nonce") {
            Some(nonce) => {
                assert_eq!(nonce, &json!("7"));
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(Vec::new()),
        }
    });
    assert!(answers[0]["reset"].is_object(), "{answers:?}");
    let parts: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.pointer("/snapshot/roles"))
        .flat_map(|roles| roles.as_array().unwrap())
        .collect();
    let admin = parts.iter().find(|role| role["name"] == json!("admin"));
    says(admin.unwrap(), &[("/builtIn", json!(true))]);
    position
}

/// Follows the feed from there: everything that was written since, in order and without a gap, up to the deletion.
pub(super) fn tells_everything(story: &Story, begin: &Value, ivan: &Person, gone: &str) {
    let mut changes: Vec<Value> = Vec::new();
    story.listen(WATCH, &start(begin, "second"), |answer| {
        assert_eq!(answer.pointer("/reset"), None, "the cursor is good");
        let told = answer.pointer("/changes/changes").and_then(Value::as_array);
        changes.extend(told.into_iter().flatten().cloned());
        match changes.last() {
            Some(last) if last.pointer("/userDeleted").is_some() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(Vec::new()),
        }
    });
    let revision = |position: &Value| text(position, "/revision").parse::<u64>().unwrap();
    let revisions: Vec<_> = changes
        .iter()
        .map(|change| revision(&change["position"]))
        .collect();
    let expected: Vec<_> = (revision(begin) + 1..).take(changes.len()).collect();
    assert_eq!(revisions, expected, "in order and without a gap");
    let kinds: BTreeSet<_> = changes
        .iter()
        .flat_map(|change| change.as_object().unwrap().keys())
        .filter(|key| !["position", "commitTime"].contains(&key.as_str()))
        .map(String::as_str)
        .collect();
    assert_eq!(kinds, BTreeSet::from(KINDS));
    let of_ivan: Vec<_> = changes
        .iter()
        .filter_map(|change| {
            let (kind, what) = change.as_object()?.iter().find(|(_, what)| {
                what.pointer("/userId").and_then(Value::as_str) == Some(&ivan.id)
            })?;
            let status = what.pointer("/status").and_then(Value::as_str);
            Some(status.unwrap_or(kind).to_owned())
        })
        .collect();
    assert_eq!(
        of_ivan,
        [
            "userCreated",
            "passwordChanged",
            "USER_STATUS_SUSPENDED",
            "USER_STATUS_ACTIVE",
            "USER_STATUS_INACTIVE",
            "USER_STATUS_ACTIVE",
            "userRightsChanged",
            "userRightsChanged",
            "userDeleted",
        ]
    );
    the_log_tells_who(story, ivan, gone);
}

fn the_log_tells_who(story: &Story, ivan: &Person, gone: &str) {
    let about = json!({
        "subject_id": ivan.id, "order": "AUDIT_ORDER_CREATE_TIME_ASC", "min_revision": gone,
        "outcome": "AUDIT_OUTCOME_DONE",
    });
    let listed = story.admin(LIST, about);
    let events = listed["events"].as_array().unwrap();
    let actions: Vec<_> = events.iter().map(|event| text(event, "/action")).collect();
    assert_eq!(
        actions,
        [
            "CreateUser",
            "SetPasswordHash",
            "SuspendUser",
            "ActivateUser",
            "DeactivateUser",
            "ActivateUser",
            "BatchAssignRoles",
            "UnassignRoles",
            "DeleteUser",
        ]
    );
    says(
        &events[2],
        &[
            ("/actor/kind", json!("AUDIT_ACTOR_KIND_USER")),
            ("/subject/type", json!("user")),
            ("/erased", json!(true)),
        ],
    );
    assert!(!events[2].to_string().contains("sells the keys"));
    let page = json!({"page_token": "forged"});
    story.admin_refused(LIST, page, "INVALID_FIELDS");
}
