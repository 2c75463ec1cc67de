//! The internal listener, as auth-service uses it: credentials, rights, proven addresses, and users of other providers.

use serde_json::{Value, json};

use super::{
    people::NOBODY,
    story::{Person, Story, says, text},
};

const GET: &str = "CredentialService/GetCredential";
const SET: &str = "CredentialService/SetPasswordHash";
const CONFIRM: &str = "CredentialService/ConfirmEmailAddress";
const CREATE: &str = "CredentialService/CreateFederatedUser";
const ACCESS: &str = "CredentialService/GetAccessSnapshot";

pub(super) fn hands_out_credentials(story: &Story, grace: &Person, ivan: &Person) {
    let credential = story.service(GET, json!({"login": "GRACE@example.org"}));
    says(
        &credential,
        &[
            ("/access/userId", json!(grace.id)),
            ("/access/status", json!("USER_STATUS_ACTIVE")),
        ],
    );
    assert!(text(&credential, "/passwordHash").starts_with("$argon2id$"));
    assert_eq!(credential.pointer("/passwordChangeRequired"), None);
    let forbidden = credential["forbiddenPasswords"].as_array().unwrap();
    assert!(forbidden.contains(&json!("grace")), "{forbidden:?}");
    let by_id = story.service(GET, json!({"user_id": grace.id}));
    assert_eq!(by_id["passwordHash"], credential["passwordHash"]);
    story.service_refused(GET, json!({"login": "nobody"}), "USER_NOT_FOUND");
    story.stranger_refused(GET, json!({"login": "grace"}));

    a_hash_is_set_if_nobody_was_before(story, grace, &credential);
    story.log_in("grace", &ivan.password);
    story.login_refused("grace", &grace.password, "INVALID_CREDENTIALS");
    rights_are_those_of_now(story, grace);
    an_address_is_proven(story, grace);
    somebody_comes_from_elsewhere(story);
}

fn a_hash_is_set_if_nobody_was_before(story: &Story, grace: &Person, credential: &Value) {
    let ivan = story.service(GET, json!({"login": "ivan"}));
    let message = json!({
        "user_id": grace.id, "password_hash": text(&ivan, "/passwordHash"),
        "expected_credential_version": text(credential, "/credentialVersion"),
        "operation_id": "operation-1", "cause": "PASSWORD_CHANGE_CAUSE_CHANGE",
        "spared_session_id": "the-one-that-changed-it",
    });
    let set = story.service(SET, message.clone());
    assert_ne!(set["credentialVersion"], credential["credentialVersion"]);
    text(&set, "/position/epoch");
    let repeated = story.service(SET, message.clone());
    assert_eq!(repeated, set, "the same operation");
    let mut late = message;
    late["operation_id"] = json!("operation-2");
    story.service_refused(SET, late, "CONFLICT");
    let now = story.service(GET, json!({"login": "grace"}));
    assert_eq!(now["passwordHash"], ivan["passwordHash"]);
    assert_eq!(now["credentialVersion"], set["credentialVersion"]);
}

fn rights_are_those_of_now(story: &Story, grace: &Person) {
    let viewer = story.admin("RoleService/ListRoles", json!({"name": "viewer"}));
    let gift = json!({"user_id": grace.id, "role_ids": [text(&viewer, "/roles/0/id")]});
    story.admin("RoleService/AssignRoles", gift.clone());
    let snapshot = story.service(ACCESS, json!({"user_id": grace.id}));
    says(
        &snapshot,
        &[
            ("/access/status", json!("USER_STATUS_ACTIVE")),
            ("/access/roles/0/name", json!("viewer")),
        ],
    );
    assert_eq!(snapshot.pointer("/access/directPermissions"), None);
    let held = snapshot["access"]["effectivePermissions"].as_array();
    assert!(held.unwrap().contains(&json!("users.read")), "{snapshot}");
    assert!(snapshot["access"]["features"].is_array(), "{snapshot}");
    story.admin("RoleService/UnassignRoles", gift);
    let position = json!({
        "user_id": grace.id, "min_position": snapshot["access"]["position"],
    });
    let snapshot = story.service(ACCESS, position);
    assert_eq!(snapshot.pointer("/access/roles"), None, "{snapshot}");
    let nobody = json!({"user_id": NOBODY});
    story.service_refused(ACCESS, nobody, "USER_NOT_FOUND");
}

fn an_address_is_proven(story: &Story, grace: &Person) {
    let own = json!({"user_id": grace.id});
    let before = story.admin("UserService/GetUser", own.clone());
    assert_eq!(before.pointer("/user/emailVerified"), None, "{before}");
    let other = json!({"user_id": grace.id, "email": "other@example.org"});
    story.service_refused(CONFIRM, other, "CONFLICT");
    let proof = json!({"user_id": grace.id, "email": "grace@example.org"});
    let proven = story.service(CONFIRM, proof);
    text(&proven, "/position/revision");
    let after = story.admin("UserService/GetUser", own);
    says(&after, &[("/user/emailVerified", json!(true))]);
}

fn somebody_comes_from_elsewhere(story: &Story) {
    let message = json!({
        "operation_id": "federated-1", "username": "alan", "email": "alan@example.org",
        "first_name": "Alan", "last_name": "Turing",
    });
    let created = story.service(CREATE, message.clone());
    let id = text(&created, "/userId");
    assert_eq!(text(&story.service(CREATE, message.clone()), "/userId"), id);
    let mut again = message;
    again["operation_id"] = json!("federated-2");
    again["username"] = json!("alan.turing");
    story.service_refused(CREATE, again, "EMAIL_TAKEN");
    let user = story.admin("UserService/GetUser", json!({"user_id": id}));
    says(
        &user,
        &[
            ("/user/username", json!("alan")),
            ("/user/emailVerified", json!(true)),
        ],
    );
    let credential = story.service(GET, json!({"user_id": id}));
    assert_eq!(credential.pointer("/passwordHash"), None, "no password");
}
