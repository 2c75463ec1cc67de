//! People: created, read, searched for, changed by themselves, and shut out and let in.

use identity_dev::administrator::random_password;
use serde_json::{Value, json};

use super::story::{Person, Story, each, says, text};

const CREATE: &str = "UserService/CreateUser";
const GET: &str = "UserService/GetUser";
const BATCH_GET: &str = "UserService/BatchGetUsers";
const LIST: &str = "UserService/ListUsers";
const UPDATE: &str = "UserService/UpdateUser";
const ACTIVATE: &str = "UserService/ActivateUser";
const DEACTIVATE: &str = "UserService/DeactivateUser";
const SUSPEND: &str = "UserService/SuspendUser";

/// An id that nobody has.
pub(super) const NOBODY: &str = "c1234567890123456789abcd";

/// Grace, with everything that can be said of somebody, logged in and at home in her profile.
pub(super) fn settle(story: &Story, researcher: &str) -> Person {
    let first = random_password().unwrap();
    let address = json!({
        "street": "Cardinal Road 7", "extra": "Second floor", "city": "Arlington",
        "region": "Virginia", "postal_code": "22201", "country_code": "US",
    });
    let profile = json!({
        "username": "grace", "email": "Grace@Example.org", "first_name": "Grace",
        "last_name": "Hopper", "phone": "+12025550143", "address": address,
        "user_type_id": researcher, "password": first, "request_id": "grace-1",
    });
    let created = story.admin(CREATE, profile.clone());
    says(
        &created,
        &[
            ("/user/username", json!("grace")),
            ("/user/email", json!("Grace@Example.org")),
            ("/user/firstName", json!("Grace")),
            ("/user/lastName", json!("Hopper")),
            ("/user/phone", json!("+12025550143")),
            ("/user/address/postalCode", json!("22201")),
            ("/user/status", json!("USER_STATUS_ACTIVE")),
            ("/user/userTypeId", json!(researcher)),
        ],
    );
    let user = created["user"].as_object().unwrap();
    let told = |field: &&String| field.to_lowercase().contains("password");
    assert_eq!(user.keys().find(told), None, "{created}");
    let id = text(&created, "/user/id");
    assert_eq!(story.admin(CREATE, profile)["user"]["id"], json!(id));
    let same = json!({
        "username": "other", "email": "grace@example.ORG", "first_name": "A", "last_name": "B",
    });
    story.admin_refused(CREATE, same, "EMAIL_TAKEN");

    let (password, token) = story.first_log_in("GRACE", &first);
    let grace = Person {
        id,
        password,
        token,
    };
    read(story, &grace, &created, researcher);
    change(story, &grace);
    grace
}

fn read(story: &Story, grace: &Person, created: &Value, researcher: &str) {
    let own = json!({
        "user_id": grace.id, "view": "USER_VIEW_FULL", "min_revision": text(created, "/revision"),
    });
    let read = story.by(Some(&grace.token), GET, own);
    assert_eq!(read["user"], created["user"]);
    text(&read, "/revision");
    let other = json!({"user_id": NOBODY});
    story.refused(Some(&grace.token), GET, other.clone(), "NOT_FOUND");
    story.admin_refused(GET, other, "USER_NOT_FOUND");

    let both = json!({"user_ids": [NOBODY, grace.id]});
    let several = story.admin(BATCH_GET, both.clone());
    assert_eq!(several["users"], json!([created["user"]]));
    assert_eq!(several["missingUserIds"], json!([NOBODY]));
    story.refused(Some(&grace.token), BATCH_GET, both, "PERMISSION_REQUIRED");

    let search = json!({
        "query": "hopp", "user_type_id": researcher, "status": "USER_STATUS_ACTIVE",
        "order": "USER_ORDER_USERNAME_ASC", "estimate_total": true,
    });
    let found = story.admin(LIST, search);
    assert_eq!(each(&found, "/users", "/username"), ["grace"]);
    assert_eq!(found["estimatedTotal"], json!("1"));
    let page = story.admin(LIST, json!({"page_size": 1}));
    let next = json!({"page_size": 2, "page_token": text(&page, "/nextPageToken")});
    story.admin_refused(LIST, json!({"page_token": "forged"}), "INVALID_FIELDS");
    let rest = story.admin(LIST, next);
    assert_ne!(page["users"][0]["id"], rest["users"][0]["id"]);
}

fn change(story: &Story, grace: &Person) {
    let token = Some(grace.token.as_str());
    let before = story.by(token, GET, json!({"user_id": grace.id}));
    let etag = text(&before, "/user/etag");
    let message = json!({
        "user_id": grace.id, "etag": etag,
        "user": {"last_name": "Murray Hopper", "phone": ""}, "update_mask": {"paths": ["last_name", "phone"]},
    });
    let changed = story.by(token, UPDATE, message.clone());
    says(&changed, &[("/user/lastName", json!("Murray Hopper"))]);
    assert_eq!(changed.pointer("/user/phone"), None, "{changed}");
    story.refused(token, UPDATE, message, "ETAG_MISMATCH");
    let address = json!({"user_id": grace.id, "user": {"email": "other@example.org"}});
    story.refused(token, UPDATE, address, "PERMISSION_REQUIRED");
    let name = json!({"user_id": grace.id, "user": {"username": "root.admin"}});
    story.refused(token, UPDATE, name, "USERNAME_TAKEN");
    let after = story.admin(
        GET,
        json!({"user_id": grace.id, "min_revision": text(&changed, "/revision")}),
    );
    assert_eq!(after["user"], changed["user"]);
}

/// Ivan, who is shut out, let in, sent home and let in again.
pub(super) fn status_goes_up_and_down(story: &Story) -> Person {
    let first = random_password().unwrap();
    let profile = json!({
        "username": "ivan", "email": "ivan@example.org", "first_name": "Ivan",
        "last_name": "Vaughan", "password": first,
    });
    let id = text(&story.admin(CREATE, profile), "/user/id");
    let (password, token) = story.first_log_in("ivan@example.org", &first);

    let suspend = json!({"user_id": id, "reason": "sells the keys"});
    let suspended = story.admin(SUSPEND, suspend);
    says(
        &suspended,
        &[
            ("/user/status", json!("USER_STATUS_SUSPENDED")),
            ("/user/statusReason", json!("sells the keys")),
        ],
    );
    story.login_refused("ivan", &password, "ACCOUNT_SUSPENDED");
    let own = json!({"user_id": id});
    let active = json!({"status": "USER_STATUS_SUSPENDED"});
    let listed = story.admin(LIST, active);
    assert_eq!(each(&listed, "/users", "/id"), [id.as_str()]);

    let activated = story.admin(ACTIVATE, json!({"user_id": id, "reason": "they were his"}));
    says(&activated, &[("/user/status", json!("USER_STATUS_ACTIVE"))]);
    story.refused(Some(&token), GET, own.clone(), "TOKEN_REVOKED");
    story.log_in("ivan", &password);

    let etag = text(&activated, "/user/etag");
    let deactivate = json!({"user_id": id, "reason": "a leave", "etag": etag});
    let deactivated = story.admin(DEACTIVATE, deactivate);
    says(
        &deactivated,
        &[("/user/status", json!("USER_STATUS_INACTIVE"))],
    );
    story.login_refused("ivan", &password, "ACCOUNT_INACTIVE");
    let stale = json!({"user_id": id, "etag": etag});
    story.admin_refused(ACTIVATE, stale, "ETAG_MISMATCH");
    story.admin(ACTIVATE, own);
    let token = story.log_in("ivan", &password);

    let admins = story.admin(LIST, json!({"query": "root-admin"}));
    let last = json!({"user_id": text(&admins, "/users/0/id")});
    story.admin_refused(SUSPEND, last.clone(), "LAST_ADMINISTRATOR");
    story.admin_refused(DEACTIVATE, last, "LAST_ADMINISTRATOR");
    Person {
        id,
        password,
        token,
    }
}
