//! Types of users: made, read, changed, and deleted when nobody has them.

use serde_json::{Value, json};

use super::story::{Story, each, says, text};

const CREATE: &str = "UserTypeService/CreateUserType";
const GET: &str = "UserTypeService/GetUserType";
const LIST: &str = "UserTypeService/ListUserTypes";
const UPDATE: &str = "UserTypeService/UpdateUserType";
const DELETE: &str = "UserTypeService/DeleteUserType";

/// The id of the type that the people of the journey have.
pub(super) fn set_up(story: &Story) -> String {
    let message = json!({
        "name": "researcher", "description": "Looks into things", "request_id": "type-1",
    });
    let created = story.admin(CREATE, message.clone());
    says(
        &created,
        &[
            ("/userType/name", json!("researcher")),
            ("/userType/description", json!("Looks into things")),
        ],
    );
    assert_eq!(created.pointer("/userType/builtIn"), None, "{created}");
    let id = text(&created, "/userType/id");
    let repeated = story.admin(CREATE, message);
    assert_eq!(repeated["userType"]["id"], json!(id), "the same request");
    let again = json!({"name": "researcher"});
    story.admin_refused(CREATE, again, "NAME_TAKEN");

    let read = story.admin(
        GET,
        json!({"user_type_id": id, "min_revision": text(&created, "/revision")}),
    );
    assert_eq!(read["userType"], created["userType"]);
    let listed = story.admin(LIST, json!({"page_size": 1}));
    assert_eq!(each(&listed, "/userTypes", "/name").len(), 1);
    let forged = json!({"page_token": "forged"});
    story.admin_refused(LIST, forged, "INVALID_FIELDS");
    let next = json!({"page_size": 500, "page_token": text(&listed, "/nextPageToken")});
    let rest = story.admin(LIST, next);
    let names = [
        each(&listed, "/userTypes", "/name"),
        each(&rest, "/userTypes", "/name"),
    ]
    .concat();
    assert!(names.is_sorted(), "{names:?}");
    assert!(names.contains(&"researcher".to_owned()), "{names:?}");
    let built_in = |list: &Value| {
        let types = list["userTypes"].as_array().unwrap().clone();
        types
            .into_iter()
            .find(|kind| kind["builtIn"] == json!(true))
    };
    let built_in = built_in(&listed).or_else(|| built_in(&rest)).unwrap();
    let rename = json!({"user_type_id": built_in["id"], "user_type": {"name": "other"}});
    story.admin_refused(UPDATE, rename, "BUILT_IN");

    let etag = text(&created, "/userType/etag");
    let update = json!({
        "user_type_id": id, "user_type": {"description": "Looks further"}, "etag": etag,
    });
    let updated = story.admin(UPDATE, update.clone());
    says(
        &updated,
        &[
            ("/userType/name", json!("researcher")),
            ("/userType/description", json!("Looks further")),
        ],
    );
    assert_ne!(text(&updated, "/userType/etag"), etag);
    story.admin_refused(UPDATE, update, "ETAG_MISMATCH");

    let visitor = story.admin(CREATE, json!({"name": "visitor"}));
    let visitor = text(&visitor, "/userType/id");
    let deleted = story.admin(DELETE, json!({"user_type_id": visitor}));
    text(&deleted, "/revision");
    let gone = json!({"user_type_id": visitor});
    story.admin_refused(GET, gone, "USER_TYPE_NOT_FOUND");
    id
}

/// A type that somebody has stays.
pub(super) fn cannot_be_taken_from_somebody(story: &Story, id: &str) {
    story.admin_refused(DELETE, json!({"user_type_id": id}), "IN_USE");
}
