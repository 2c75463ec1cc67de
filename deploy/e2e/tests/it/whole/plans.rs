//! Subscriptions: given, read by their owner, changed, cancelled and renewed, with the features that they entitle to.

use serde_json::{Value, json};

use super::story::{Person, Story, each, in_an_hour, says, text};

const CREATE: &str = "SubscriptionService/CreateSubscription";
const GET: &str = "SubscriptionService/GetSubscription";
const LIST: &str = "SubscriptionService/ListSubscriptions";
const UPDATE: &str = "SubscriptionService/UpdateSubscription";
const CANCEL: &str = "SubscriptionService/CancelSubscription";
const RENEW: &str = "SubscriptionService/RenewSubscription";

pub(super) fn entitle(story: &Story, grace: &Person) {
    let own = json!({"user_id": grace.id});
    let token = Some(grace.token.as_str());
    story.refused(token, GET, own.clone(), "SUBSCRIPTION_NOT_FOUND");
    let end = in_an_hour();
    let unknown = json!({"user_id": grace.id, "plan": "PLATINUM"});
    story.admin_refused(CREATE, unknown, "PLAN_NOT_FOUND");
    let message = json!({
        "user_id": grace.id, "plan": "PREMIUM", "expire_time": end, "request_id": "plan-1",
    });
    let created = story.admin(CREATE, message.clone());
    says(
        &created,
        &[
            ("/subscription/userId", json!(grace.id)),
            ("/subscription/plan", json!("PREMIUM")),
            ("/subscription/status", json!("SUBSCRIPTION_STATUS_ACTIVE")),
            ("/subscription/expireTime", json!(end)),
        ],
    );
    let repeated = story.admin(CREATE, message);
    assert_eq!(repeated["subscription"], created["subscription"]);
    let second = json!({"user_id": grace.id, "plan": "FREE"});
    story.admin_refused(CREATE, second, "SUBSCRIPTION_EXISTS");
    let read = story.by(token, GET, own.clone());
    assert_eq!(read["subscription"], created["subscription"]);
    assert_eq!(features(story, grace), created["subscription"]["features"]);
    let listed = story.admin(LIST, json!({"plan": "PREMIUM"}));
    assert_eq!(
        each(&listed, "/subscriptions", "/userId"),
        [grace.id.as_str()]
    );
    story.refused(token, LIST, json!({}), "PERMISSION_REQUIRED");

    let etag = text(&created, "/subscription/etag");
    let change = json!({"user_id": grace.id, "subscription": {"plan": "BASIC"}, "etag": etag});
    let changed = story.admin(UPDATE, change);
    says(
        &changed,
        &[
            ("/subscription/plan", json!("BASIC")),
            ("/subscription/expireTime", json!(end)),
        ],
    );
    let late = json!({"user_id": grace.id, "subscription": {"plan": "FREE"}, "etag": etag});
    story.admin_refused(UPDATE, late, "ETAG_MISMATCH");
    let less = features(story, grace);
    assert_ne!(less, created["subscription"]["features"]);

    let cancel = json!({"user_id": grace.id, "mode": "CANCEL_MODE_NOW"});
    let cancelled = story.admin(CANCEL, cancel);
    says(
        &cancelled,
        &[("/subscription/status", json!("SUBSCRIPTION_STATUS_EXPIRED"))],
    );
    assert_eq!(features(story, grace), Value::Null);
    let at_end = json!({"user_id": grace.id, "mode": "CANCEL_MODE_AT_END"});
    story.admin_refused(CANCEL, at_end.clone(), "SUBSCRIPTION_EXPIRED");
    let stale = json!({"user_id": grace.id, "etag": etag});
    story.admin_refused(RENEW, stale, "ETAG_MISMATCH");
    let renewed = story.admin(RENEW, json!({"user_id": grace.id}));
    says(
        &renewed,
        &[
            ("/subscription/plan", json!("BASIC")),
            ("/subscription/status", json!("SUBSCRIPTION_STATUS_ACTIVE")),
        ],
    );
    assert_eq!(renewed.pointer("/subscription/expireTime"), None);
    assert_eq!(features(story, grace), less);
    story.admin_refused(CANCEL, at_end, "SUBSCRIPTION_ENDLESS");
}

/// What the user's profile says that the subscription entitles to.
fn features(story: &Story, person: &Person) -> Value {
    let full = json!({"user_id": person.id, "view": "USER_VIEW_FULL"});
    let user = story.by(Some(&person.token), "UserService/GetUser", full);
    user["features"].clone()
}
