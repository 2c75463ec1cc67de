//! Rights: permissions and roles are made, given to people and taken again, and every gift and loss counts at once.

use serde_json::{Value, json};

use super::{
    people::NOBODY,
    story::{Person, Story, each, in_an_hour, says, text},
};

const CREATE_PERMISSION: &str = "PermissionService/CreatePermission";
const GET_PERMISSION: &str = "PermissionService/GetPermission";
const LIST_PERMISSIONS: &str = "PermissionService/ListPermissions";
const UPDATE_PERMISSION: &str = "PermissionService/UpdatePermission";
const DELETE_PERMISSION: &str = "PermissionService/DeletePermission";
const GRANT_TO_USER: &str = "PermissionService/GrantUserPermissions";
const REVOKE_FROM_USER: &str = "PermissionService/RevokeUserPermissions";
const LIST_OF_USER: &str = "PermissionService/ListUserPermissions";
const CHECK: &str = "PermissionService/CheckPermissions";
const CREATE_ROLE: &str = "RoleService/CreateRole";
const GET_ROLE: &str = "RoleService/GetRole";
const LIST_ROLES: &str = "RoleService/ListRoles";
const UPDATE_ROLE: &str = "RoleService/UpdateRole";
const DELETE_ROLE: &str = "RoleService/DeleteRole";
const GRANT_TO_ROLE: &str = "RoleService/GrantRolePermissions";
const REVOKE_FROM_ROLE: &str = "RoleService/RevokeRolePermissions";
const ASSIGN: &str = "RoleService/AssignRoles";
const BATCH_ASSIGN: &str = "RoleService/BatchAssignRoles";
const UNASSIGN: &str = "RoleService/UnassignRoles";
const ROLES_OF_USER: &str = "RoleService/ListUserRoles";

pub(super) fn are_given_and_taken(story: &Story, grace: &Person, ivan: &Person) {
    let read = permission(story, "reports.read");
    let export = permission(story, "reports.export");
    permissions_are_kept(story, &read);
    let analyst = role(story, &read);
    through_a_role(story, grace, &analyst);
    directly(story, grace, &export);
    to_many(story, grace, ivan, &analyst);
    nobody_gives_more_than_they_hold(story, grace);
    and_taken(story, grace, &analyst, &read);
}

/// The id of a new permission.
fn permission(story: &Story, name: &str) -> String {
    let message = json!({"name": name, "description": "About reports", "request_id": name});
    let created = story.admin(CREATE_PERMISSION, message.clone());
    says(
        &created,
        &[
            ("/permission/name", json!(name)),
            ("/permission/description", json!("About reports")),
        ],
    );
    assert_eq!(created.pointer("/permission/builtIn"), None);
    let repeated = story.admin(CREATE_PERMISSION, message);
    assert_eq!(repeated["permission"]["id"], created["permission"]["id"]);
    text(&created, "/permission/id")
}

fn permissions_are_kept(story: &Story, id: &str) {
    let again = json!({"name": "reports.read"});
    story.admin_refused(CREATE_PERMISSION, again, "NAME_TAKEN");
    let read = story.admin(GET_PERMISSION, json!({"permission_id": id}));
    says(&read, &[("/permission/name", json!("reports.read"))]);
    let etag = text(&read, "/permission/etag");
    let message = json!({
        "permission_id": id, "permission": {"description": "Reads reports"}, "etag": etag,
    });
    let updated = story.admin(UPDATE_PERMISSION, message.clone());
    let description = ("/permission/description", json!("Reads reports"));
    says(&updated, std::slice::from_ref(&description));
    story.admin_refused(UPDATE_PERMISSION, message, "ETAG_MISMATCH");
    let listed = story.admin(LIST_PERMISSIONS, json!({"name": "reports.read"}));
    assert_eq!(listed["permissions"], json!([updated["permission"]]));
    let forged = json!({"page_token": "forged"});
    story.admin_refused(LIST_PERMISSIONS, forged, "INVALID_FIELDS");
    let nobody = json!({"permission_id": NOBODY});
    story.admin_refused(GET_PERMISSION, nobody, "PERMISSION_NOT_FOUND");
}

/// The id of a new role that reads reports.
fn role(story: &Story, read: &str) -> String {
    let message = json!({"name": "analyst", "description": "Reads", "request_id": "role-1"});
    let created = story.admin(CREATE_ROLE, message.clone());
    says(&created, &[("/role/name", json!("analyst"))]);
    let id = text(&created, "/role/id");
    let repeated = story.admin(CREATE_ROLE, message);
    assert_eq!(repeated["role"]["id"], json!(id));
    story.admin_refused(CREATE_ROLE, json!({"name": "analyst"}), "NAME_TAKEN");

    let etag = text(&created, "/role/etag");
    let update = json!({"role_id": id, "role": {"description": "Reads reports"}, "etag": etag});
    let updated = story.admin(UPDATE_ROLE, update.clone());
    says(&updated, &[("/role/description", json!("Reads reports"))]);
    story.admin_refused(UPDATE_ROLE, update, "ETAG_MISMATCH");

    let grant = json!({"role_id": id, "permission_ids": [read]});
    let granted = story.admin(GRANT_TO_ROLE, grant);
    says(&granted, &[("/grantedCount", json!(1))]);
    let unknown = json!({"role_id": id, "permission_ids": [NOBODY]});
    story.admin_refused(GRANT_TO_ROLE, unknown, "PERMISSION_NOT_FOUND");
    let read = story.admin(
        GET_ROLE,
        json!({"role_id": id, "min_revision": text(&granted, "/revision")}),
    );
    assert_eq!(read["role"], updated["role"]);
    assert_eq!(read["permissions"], json!(["reports.read"]));
    let negative = json!({"page_size": -1});
    story.admin_refused(LIST_ROLES, negative, "INVALID_FIELDS");
    let listed = story.admin(LIST_ROLES, json!({}));
    let names = each(&listed, "/roles", "/name");
    assert!(names.is_sorted(), "{names:?}");
    assert!(names.iter().any(|name| name == "analyst"), "{names:?}");
    id
}

/// What the answer to each of these permissions is, for the owner of the token.
fn check(story: &Story, person: &Person, names: &[&str]) -> Vec<Value> {
    let message = json!({"user_id": person.id, "permissions": names});
    let answer = story.by(Some(&person.token), CHECK, message);
    text(&answer, "/revision");
    let checks = answer["checks"].as_array().unwrap().clone();
    let asked: Vec<_> = checks
        .iter()
        .map(|check| text(check, "/permission"))
        .collect();
    assert_eq!(asked, names);
    checks
}

fn through_a_role(story: &Story, grace: &Person, analyst: &str) {
    let missing = &check(story, grace, &["reports.read"])[0];
    says(
        missing,
        &[
            ("/reason", json!("CHECK_REASON_PERMISSION_MISSING")),
            ("/grantingRoles", json!(["admin", "analyst"])),
        ],
    );
    let other = json!({"user_id": NOBODY, "permissions": ["reports.read"]});
    story.refused(Some(&grace.token), CHECK, other, "NOT_FOUND");
    let gift = json!({"user_id": grace.id, "role_ids": [analyst]});
    let given = story.admin(ASSIGN, gift.clone());
    says(&given, &[("/assignedCount", json!(1))]);
    let unknown = json!({"user_id": grace.id, "role_ids": [NOBODY]});
    story.admin_refused(ASSIGN, unknown, "ROLE_NOT_FOUND");
    // At once, with the token from before.
    let checks = check(
        story,
        grace,
        &["reports.read", "reports.export", "reports.burn"],
    );
    says(
        &checks[0],
        &[
            ("/allowed", json!(true)),
            ("/reason", json!("CHECK_REASON_GRANTED")),
            ("/sources", json!([{"role": "analyst"}])),
        ],
    );
    let reasons: Vec<_> = checks.iter().map(|check| text(check, "/reason")).collect();
    assert_eq!(
        reasons[1..],
        [
            "CHECK_REASON_PERMISSION_MISSING",
            "CHECK_REASON_PERMISSION_UNKNOWN"
        ]
    );
    let own = json!({"user_id": grace.id});
    let roles = story.by(Some(&grace.token), ROLES_OF_USER, own);
    assert_eq!(each(&roles, "/roles", "/name"), ["analyst"]);
    assert_eq!(roles.pointer("/ends"), None);
    let other = json!({"user_id": NOBODY});
    story.admin_refused(ROLES_OF_USER, other, "USER_NOT_FOUND");
}

fn directly(story: &Story, grace: &Person, export: &str) {
    let end = in_an_hour();
    let gift = json!({"user_id": grace.id, "permission_ids": [export], "expire_time": end});
    let given = story.admin(GRANT_TO_USER, gift.clone());
    says(&given, &[("/grantedCount", json!(1))]);
    let unknown = json!({"user_id": NOBODY, "permission_ids": [export]});
    story.admin_refused(GRANT_TO_USER, unknown, "USER_NOT_FOUND");
    let own = json!({"user_id": grace.id});
    let held = story.by(Some(&grace.token), LIST_OF_USER, own.clone());
    let names = each(&held, "/permissions", "/permission/name");
    assert_eq!(names, ["reports.export", "reports.read"]);
    says(
        &held,
        &[
            (
                "/permissions/0/sources",
                json!([{"direct": true, "expireTime": end}]),
            ),
            ("/permissions/1/sources", json!([{"role": "analyst"}])),
        ],
    );
    story.refused(
        Some(&grace.token),
        LIST_OF_USER,
        json!({"user_id": NOBODY}),
        "NOT_FOUND",
    );
    let loss = json!({"user_id": grace.id, "permission_ids": [export]});
    let taken = story.admin(REVOKE_FROM_USER, loss.clone());
    says(&taken, &[("/revokedCount", json!(1))]);
    let taken = story.admin(REVOKE_FROM_USER, loss);
    assert_eq!(taken.pointer("/revokedCount"), None, "none the second time");
    let held = story.by(Some(&grace.token), LIST_OF_USER, own);
    assert_eq!(
        each(&held, "/permissions", "/permission/name"),
        ["reports.read"]
    );
    story.admin_refused(
        REVOKE_FROM_USER,
        json!({"user_id": NOBODY, "permission_ids": [export]}),
        "USER_NOT_FOUND",
    );
}

fn to_many(story: &Story, grace: &Person, ivan: &Person, analyst: &str) {
    let item = |id: &str| json!({"user_id": id, "role_ids": [analyst]});
    let items = json!({"items": [item(&grace.id), item(&ivan.id), item(NOBODY)]});
    let given = story.admin(BATCH_ASSIGN, items);
    says(
        &given,
        &[
            (
                "/outcomes",
                json!([
                    "ASSIGN_OUTCOME_UNCHANGED",
                    "ASSIGN_OUTCOME_ASSIGNED",
                    "ASSIGN_OUTCOME_USER_NOT_FOUND"
                ]),
            ),
            ("/assignedCount", json!(1)),
        ],
    );
    let none = json!({"items": []});
    story.admin_refused(BATCH_ASSIGN, none, "INVALID_FIELDS");
    says(
        &check(story, ivan, &["reports.read"])[0],
        &[("/allowed", json!(true))],
    );
    let loss = json!({"user_id": ivan.id, "role_ids": [analyst]});
    let taken = story.admin(UNASSIGN, loss);
    says(&taken, &[("/unassignedCount", json!(1))]);
    assert_eq!(
        check(story, ivan, &["reports.read"])[0].get("allowed"),
        None
    );

    let admins = story.admin(LIST_ROLES, json!({"name": "admin"}));
    says(&admins, &[("/roles/0/builtIn", json!(true))]);
    let admin = text(&admins, "/roles/0/id");
    let holders = story.admin("UserService/ListUsers", json!({"role_id": admin}));
    assert_eq!(each(&holders, "/users", "/username"), ["root-admin"]);
    let last = json!({"user_id": text(&holders, "/users/0/id"), "role_ids": [admin]});
    story.admin_refused(UNASSIGN, last, "LAST_ADMINISTRATOR");
    let change = json!({"role_id": admin, "role": {"description": "mine"}});
    story.admin_refused(UPDATE_ROLE, change, "BUILT_IN");
    story.admin_refused(DELETE_ROLE, json!({"role_id": admin}), "BUILT_IN");
}

fn nobody_gives_more_than_they_hold(story: &Story, grace: &Person) {
    let found = story.admin(LIST_PERMISSIONS, json!({"name": "roles.assign"}));
    says(&found, &[("/permissions/0/builtIn", json!(true))]);
    let assign = text(&found, "/permissions/0/id");
    story.admin_refused(
        DELETE_PERMISSION,
        json!({"permission_id": assign}),
        "BUILT_IN",
    );
    let gift = json!({"user_id": grace.id, "permission_ids": [assign]});
    let admin = story.admin(LIST_ROLES, json!({"name": "admin"}));
    let rise = json!({"user_id": grace.id, "role_ids": [text(&admin, "/roles/0/id")]});
    let token = Some(grace.token.as_str());
    story.refused(token, ASSIGN, rise.clone(), "PERMISSION_REQUIRED");
    story.admin(GRANT_TO_USER, gift.clone());
    story.refused(token, ASSIGN, rise, "GRANT_EXCEEDS_CALLER");
    story.admin(REVOKE_FROM_USER, gift);
}

fn and_taken(story: &Story, grace: &Person, analyst: &str, read: &str) {
    let loss = json!({"role_id": analyst, "permission_ids": [read]});
    let taken = story.admin(REVOKE_FROM_ROLE, loss.clone());
    says(&taken, &[("/revokedCount", json!(1))]);
    assert_eq!(
        check(story, grace, &["reports.read"])[0].get("allowed"),
        None
    );
    story.admin_refused(
        REVOKE_FROM_ROLE,
        json!({"role_id": NOBODY, "permission_ids": [read]}),
        "ROLE_NOT_FOUND",
    );

    text(&story.admin(GRANT_TO_ROLE, loss), "/revision");
    let gone = json!({"permission_id": read});
    text(&story.admin(DELETE_PERMISSION, gone.clone()), "/revision");
    story.admin_refused(DELETE_PERMISSION, gone, "PERMISSION_NOT_FOUND");
    says(
        &check(story, grace, &["reports.read"])[0],
        &[("/reason", json!("CHECK_REASON_PERMISSION_UNKNOWN"))],
    );
    let role = story.admin(GET_ROLE, json!({"role_id": analyst}));
    assert_eq!(role.pointer("/permissions"), None, "{role}");

    let etag = text(&role, "/role/etag");
    let gone = json!({"role_id": analyst, "etag": etag});
    text(&story.admin(DELETE_ROLE, gone), "/revision");
    let gone = json!({"role_id": analyst});
    story.admin_refused(GET_ROLE, gone, "ROLE_NOT_FOUND");
    let roles = story.by(
        Some(&grace.token),
        ROLES_OF_USER,
        json!({"user_id": grace.id}),
    );
    assert_eq!(roles.pointer("/roles"), None, "{roles}");
}
