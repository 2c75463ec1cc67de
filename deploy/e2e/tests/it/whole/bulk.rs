//! Many at once: users of another program come in, and everybody goes out as they are.

use serde_json::{Value, json};

use super::story::{Story, each, says, text};

const IMPORT: &str = "UserService/ImportUsers";
const EXPORT: &str = "UserService/ExportUsers";
const EXPORT_ONE: &str = "UserService/ExportUser";

/// The hash of passlib for `correct horse battery staple`.
const FOREIGN: &str =
    "$pbkdf2-sha256$29000$IQTAGGOMEYJwTilFKAUgBA$PHQo5GvFvFP.0bGPZB/VzI7Fk3SHsKpTVbMsmp8IVeA";

pub(super) fn goes_in_and_comes_out(story: &Story) {
    let header = json!({"header": {"source": "observatory"}});
    let user = |number: &str, username: &str, email: &str, roles: &[&str]| {
        json!({"user": {
            "external_id": number, "username": username, "email": email, "first_name": "Edwin",
            "last_name": "Hubble", "roles": roles, "password_hash": FOREIGN,
            "status": "USER_STATUS_INACTIVE",
        }})
    };
    let messages = [
        header,
        user("1", "edwin", "edwin@example.org", &["viewer"]),
        user("2", "henrietta", "edwin@example.org", &[]),
        user("3", "annie", "annie@example.org", &["astronomer"]),
    ];
    let outcomes = outcomes(story, &messages);
    says(&outcomes[0], &[("/result", json!("IMPORT_RESULT_CREATED"))]);
    let id = text(&outcomes[0], "/userId");
    says(
        &outcomes[1],
        &[
            ("/result", json!("IMPORT_RESULT_REFUSED")),
            ("/reason", json!("ERROR_REASON_EMAIL_TAKEN")),
        ],
    );
    says(
        &outcomes[2],
        &[
            ("/reason", json!("ERROR_REASON_ROLE_NOT_FOUND")),
            ("/subject", json!("astronomer")),
        ],
    );
    let repeated = self::outcomes(story, &messages[..2]);
    says(
        &repeated[0],
        &[
            ("/result", json!("IMPORT_RESULT_EXISTS")),
            ("/userId", json!(id)),
        ],
    );
    story.stream_refused(IMPORT, &messages[1..], "INVALID_FIELDS");

    let exported = story.stream(EXPORT, &[json!({})]);
    let forged = json!({"min_revision": "forged"});
    story.stream_refused(EXPORT, &[forged], "INVALID_FIELDS");
    let (last, pages) = exported.split_last().unwrap();
    text(last, "/revision");
    assert_eq!(last.pointer("/users"), None, "{last}");
    let users: Vec<_> = pages
        .iter()
        .flat_map(|page| page["users"].as_array().unwrap())
        .collect();
    let edwin = users.iter().find(|user| user["user"]["id"] == json!(id));
    says(
        edwin.unwrap(),
        &[
            ("/user/username", json!("edwin")),
            ("/user/status", json!("USER_STATUS_INACTIVE")),
            ("/roles", json!(["viewer"])),
        ],
    );
    let names: Vec<_> = users
        .iter()
        .map(|user| text(user, "/user/username"))
        .collect();
    assert!(!names.contains(&"annie".to_owned()), "{names:?}");
    assert!(!format!("{exported:?}").contains("pbkdf2"));

    let held = story.admin(EXPORT_ONE, json!({"user_id": id}));
    says(
        &held,
        &[
            ("/user/username", json!("edwin")),
            ("/hasPassword", json!(true)),
            ("/imports/0/source", json!("observatory")),
            ("/imports/0/externalId", json!("1")),
        ],
    );
    assert_eq!(each(&held, "/roles", "/name"), ["viewer"]);
    let nobody = json!({"user_id": super::people::NOBODY});
    story.admin_refused(EXPORT_ONE, nobody, "USER_NOT_FOUND");
}

fn outcomes(story: &Story, messages: &[Value]) -> Vec<Value> {
    let answers = story.stream(IMPORT, messages);
    let outcomes: Vec<_> = answers
        .iter()
        .flat_map(|answer| answer["outcomes"].as_array().unwrap().clone())
        .collect();
    assert_eq!(outcomes.len(), messages.len() - 1, "{answers:?}");
    outcomes
}
