//! What ends by time, by the real grpcurl: a role that stops counting for a live token, and a subscription.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::harness::{
    Person, Store, World,
    grpcurl::{Grpcurl, Refusal},
    requirements,
};

on_both_stores!(
    a_role_stops_counting_at_its_end_for_a_token_that_goes_on,
    a_subscription_is_over_by_itself,
);

const LIST_USERS: &str = "identity.user.v1.UserService/ListUsers";
const GET_USER: &str = "identity.user.v1.UserService/GetUser";
const ASSIGN_ROLES: &str = "identity.user.v1.RoleService/AssignRoles";
const BATCH_ASSIGN_ROLES: &str = "identity.user.v1.RoleService/BatchAssignRoles";
const LOGIN: &str = "identity.auth.v1.AuthService/Login";
const VALIDATE_TOKEN: &str = "identity.auth.v1.AuthService/ValidateToken";
const CREATE: &str = "identity.user.v1.SubscriptionService/CreateSubscription";
const GET: &str = "identity.user.v1.SubscriptionService/GetSubscription";
const CANCEL: &str = "identity.user.v1.SubscriptionService/CancelSubscription";
const RENEW: &str = "identity.user.v1.SubscriptionService/RenewSubscription";

/// How long what is given lasts: a few calls of grpcurl.
const SPAN: Duration = Duration::from_secs(6);
/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// The two public listeners, the administrator, and a user with a live token.
struct Scene {
    users: Grpcurl,
    auth: Grpcurl,
    admin: String,
    person: Person,
    token: String,
    viewer: String,
}

async fn play(store: Store, test: &str, name: &str, act: fn(&Scene)) {
    let Some(program) = requirements::grpcurl(test) else {
        return;
    };
    let world = World::running(store).await;
    let person = world.person(name).await;
    let users = Grpcurl {
        program,
        target: world.user.launch.endpoints.public,
    };
    let scene = Scene {
        auth: Grpcurl {
            target: world.auth.launch.endpoints.public,
            ..users.clone()
        },
        users,
        admin: world.admin.clone(),
        token: person.log_in(&world.api).await.unwrap().access_token,
        viewer: world.role_id("viewer").await,
        person,
    };
    // grpcurl is waited for, so it runs where waiting does no harm.
    tokio::task::spawn_blocking(move || act(&scene))
        .await
        .unwrap();
    world.dispose().await;
}

async fn a_role_stops_counting_at_its_end_for_a_token_that_goes_on(store: Store) {
    play(store, "the end of a role", "ada", end_of_a_role).await;
}

fn end_of_a_role(scene: &Scene) {
    let list = || scene.users.call(LIST_USERS, &json!({}), Some(&scene.token));
    assert!(list().unwrap_err().has_reason("PERMISSION_REQUIRED"));
    let end = end();
    let item = json!({"user_id": scene.person.id, "role_ids": [scene.viewer], "expire_time": end});
    let given = scene
        .users
        .call(ASSIGN_ROLES, &item, Some(&scene.admin))
        .unwrap();
    assert_eq!(given.pointer("/assignedCount"), Some(&json!(1)));
    let batch = json!({"items": [item]});
    let given = scene
        .users
        .call(BATCH_ASSIGN_ROLES, &batch, Some(&scene.admin));
    assert_eq!(
        given.unwrap().pointer("/outcomes"),
        Some(&json!(["ASSIGN_OUTCOME_UNCHANGED"]))
    );
    list().unwrap();

    // A token that carries the role ends with it.
    let login = json!({"identifier": scene.person.username, "password": scene.person.password});
    let session = scene.auth.call(LOGIN, &login, None).unwrap();
    let expires = session.pointer("/tokens/accessTokenExpireTime").unwrap();
    assert_eq!(seconds(expires.as_str().unwrap()), seconds(&end));

    let refused = refusal(list);
    assert_eq!(refused.code, "PermissionDenied");
    assert!(refused.has_reason("PERMISSION_REQUIRED"), "{refused:?}");
    assert!(now() >= seconds(&end), "it was refused before its end");
    // The token itself goes on, and without the role.
    let valid = json!({"access_token": scene.token});
    let valid = scene.auth.call(VALIDATE_TOKEN, &valid, None).unwrap();
    assert_eq!(valid.pointer("/roles"), None);
}

async fn a_subscription_is_over_by_itself(store: Store) {
    play(
        store,
        "the end of a subscription",
        "bob",
        end_of_a_subscription,
    )
    .await;
}

fn end_of_a_subscription(scene: &Scene) {
    let id = &scene.person.id;
    let by_admin =
        |method: &str, message: Value| scene.users.call(method, &message, Some(&scene.admin));
    let own = || {
        scene
            .users
            .call(GET, &json!({"user_id": id}), Some(&scene.token))
    };
    assert!(own().unwrap_err().has_reason("SUBSCRIPTION_NOT_FOUND"));
    let create = json!({"user_id": id, "plan": "PREMIUM", "expire_time": end()});
    assert!(
        scene
            .users
            .call(CREATE, &create, Some(&scene.token))
            .unwrap_err()
            .has_reason("PERMISSION_REQUIRED")
    );
    by_admin(CREATE, create).unwrap();
    let subscription = own().unwrap();
    assert_eq!(status(&subscription), "SUBSCRIPTION_STATUS_ACTIVE");
    let full = json!({"user_id": id, "view": "USER_VIEW_FULL"});
    let features = || {
        let user = scene.users.call(GET_USER, &full, Some(&scene.token));
        user.unwrap().pointer("/features").cloned()
    };
    assert_eq!(
        features(),
        subscription.pointer("/subscription/features").cloned()
    );
    assert!(features().is_some());
    let cancel = json!({"user_id": id, "mode": "CANCEL_MODE_AT_END"});
    let cancelled = by_admin(CANCEL, cancel.clone()).unwrap();
    assert_eq!(status(&cancelled), "SUBSCRIPTION_STATUS_CANCELLED");

    let began = Instant::now();
    while status(&own().unwrap()) != "SUBSCRIPTION_STATUS_EXPIRED" {
        assert!(began.elapsed() < PATIENCE, "it does not expire");
    }
    assert_eq!(features(), None);
    assert!(
        by_admin(CANCEL, cancel)
            .unwrap_err()
            .has_reason("SUBSCRIPTION_EXPIRED")
    );
    let renewed = by_admin(RENEW, json!({"user_id": id})).unwrap();
    assert_eq!(status(&renewed), "SUBSCRIPTION_STATUS_ACTIVE");
    assert!(features().is_some());
}

/// Calls until the answer is a refusal.
fn refusal(call: impl Fn() -> Result<Value, Refusal>) -> Refusal {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "it is never refused");
        if let Err(refusal) = call() {
            return refusal;
        }
    }
}

fn status(answer: &Value) -> &str {
    let status = answer.pointer("/subscription/status");
    status.and_then(Value::as_str).unwrap()
}

/// The second of the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A whole second in a while, as JSON writes it.
fn end() -> String {
    let end = SystemTime::now() + SPAN;
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let end = prost_types::Timestamp {
        seconds: i64::try_from(end.as_secs()).unwrap(),
        nanos: 0,
    };
    end.to_string()
}

/// The second that a JSON timestamp says.
fn seconds(text: &str) -> i64 {
    text.parse::<prost_types::Timestamp>().unwrap().seconds
}
