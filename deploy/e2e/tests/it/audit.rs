//! The audit log as an operator uses it: read by grpcurl, verified by the verb, which finds one changed byte.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::{Store, World, grpcurl::Grpcurl, requirements, store::execute};

on_both_stores!(acts_and_refusals_are_told_and_a_changed_byte_is_found);

const SUSPEND: &str = "identity.user.v1.UserService/SuspendUser";
const LIST_USERS: &str = "identity.user.v1.UserService/ListUsers";
const LIST_EVENTS: &str = "identity.user.v1.AuditService/ListAuditEvents";

async fn acts_and_refusals_are_told_and_a_changed_byte_is_found(store: Store) {
    let Some(program) = requirements::grpcurl("the audit log") else {
        return;
    };
    let world = World::running(store).await;
    let users = Grpcurl {
        program,
        target: world.user.launch.endpoints.public,
    };
    let ada = world.person("ada").await;
    let ada_token = ada.log_in(&world.api).await.unwrap().access_token;
    let (admin, id) = (world.admin.clone(), ada.id.clone());
    // grpcurl is waited for, so it runs where waiting does no harm.
    tokio::task::spawn_blocking(move || act_and_read(&users, &admin, &ada_token, &id))
        .await
        .unwrap();

    let verified = verify(&world, &[]);
    assert!(verified.status.success(), "{verified:?}");
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let head = verified["head"].as_str().unwrap().to_owned();
    assert!(verified["count"].as_u64().unwrap() >= 5, "{verified}");
    let again = verify(&world, &["--head", &head]);
    assert!(again.status.success(), "{again:?}");

    let changed = "UPDATE audit_events SET action = 'SuspendUsef' WHERE action = 'SuspendUser'";
    assert_eq!(execute(&world.user.launch.database_url, changed).await, 1);
    let broken = verify(&world, &[]);
    assert_eq!(broken.status.code(), Some(4), "{broken:?}");
    let text = String::from_utf8(broken.stderr).unwrap();
    assert!(
        text.contains("the audit log is broken at sequence"),
        "{text}"
    );
    world.dispose().await;
}

fn act_and_read(users: &Grpcurl, admin: &str, ada_token: &str, ada: &str) {
    let refused = users
        .call(LIST_USERS, &json!({}), Some(ada_token))
        .unwrap_err();
    assert!(
        refused.has_reason("PERMISSION_REQUIRED"),
        "{}",
        refused.text
    );
    let suspend = json!({ "user_id": ada, "reason": "left the house" });
    users.call(SUSPEND, &suspend, Some(admin)).unwrap();

    let on_ada = json!({ "subject_id": ada, "order": "AUDIT_ORDER_CREATE_TIME_ASC" });
    let listed = users.call(LIST_EVENTS, &on_ada, Some(admin)).unwrap();
    let events = listed["events"].as_array().unwrap();
    let actions: Vec<_> = events
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["CreateUser", "SetPasswordHash", "SuspendUser"]);

    assert_eq!(events[1]["actor"]["kind"], "AUDIT_ACTOR_KIND_SERVICE");
    assert_eq!(events[1]["actor"]["id"], "auth-service");
    let suspended = &events[2];
    assert_eq!(suspended["actor"]["kind"], "AUDIT_ACTOR_KIND_USER");
    assert!(!suspended["actor"]["sessionId"].as_str().unwrap().is_empty());
    assert!(!suspended["requestId"].as_str().unwrap().is_empty());
    assert_eq!(suspended["outcome"], "AUDIT_OUTCOME_DONE");
    assert_eq!(
        suspended["changes"],
        json!([
            { "field": "status", "before": ["active"], "after": ["suspended"] },
            { "field": "status_reason", "after": ["left the house"], "personal": true },
        ])
    );

    let refusals = json!({ "actor_id": ada, "outcome": "AUDIT_OUTCOME_REFUSED" });
    // It is written beside the call, within a moment.
    let refusal = (0..50).find_map(|_| {
        let listed = users.call(LIST_EVENTS, &refusals, Some(admin)).unwrap();
        listed["events"].get(0).cloned()
    });
    let refusal = refusal.expect("the refusal is told");
    assert_eq!(refusal["action"], "ListUsers");
    let facts = refusal["facts"].as_array().unwrap();
    let lacking = json!({ "name": "lacking", "value": "users.read" });
    assert!(facts.contains(&lacking), "{facts:?}");
}

/// Runs the verb beside the serving process.
fn verify(world: &World, arguments: &[&str]) -> Output {
    let mut command: Command = world.user.launch.verb("verify-audit");
    command.args(arguments).output().unwrap()
}
