//! What each write tells the feed, from which other processes learn of it, and the audit log; one that changes nothing
//! tells nothing.

use std::collections::BTreeSet;

use identity_kit::{
    audit::{AuditEvent, AuditFilter, AuditOrder, Outcome},
    outbox,
};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use user_service::store::kinds::{
    PASSWORD_CHANGED, PERMISSION_CHANGED, PERMISSION_DELETED, ROLE_CHANGED, ROLE_DELETED,
    SUBSCRIPTION_CHANGED, USER_CREATED, USER_DELETED, USER_RIGHTS_CHANGED, USER_STATUS_CHANGED,
    USER_TYPE_CHANGED, USER_UPDATED,
};

use crate::harness::World;

/// A call, by its service, its method and its message, and what it tells.
type Step = (&'static str, &'static str, Value, &'static [&'static str]);

/// What the calls act on beside a user; their ids are their names.
const THINGS: [&str; 3] = [
    "INSERT INTO roles (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('clerk', 'clerk', '', false, 0, 0, 1)",
    "INSERT INTO permissions (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('sing', 'sing', '', false, 0, 0, 1)",
    "INSERT INTO user_types (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('machine', 'machine', '', false, 0, 0, 1)",
];

fn users(user_id: &str) -> Vec<Step> {
    const SERVICE: &str = "UserService";
    let create = |username: &str| {
        json!({
            "username": username, "email": "ada@example.org", "first_name": "Ada", "last_name": "Lovelace",
            "request_id": username,
        })
    };
    let update = |user: Value| json!({ "user_id": user_id, "user": user });
    let user = json!({ "user_id": user_id });
    let register = json!({
        "username": "begun", "email": "begun@example.org", "first_name": "Be", "last_name": "Gun",
    });
    vec![
        (SERVICE, "CreateUser", create("ada"), &[USER_CREATED]),
        (SERVICE, "CreateUser", create("ada"), &[]),
        (SERVICE, "CreateUser", create("taken"), &[]),
        (
            SERVICE,
            "UpdateUser",
            update(json!({ "last_name": "King" })),
            &[USER_UPDATED],
        ),
        (SERVICE, "UpdateUser", update(json!({})), &[]),
        (SERVICE, "RegisterUser", register, &[]),
        (
            SERVICE,
            "RequestEmailChange",
            json!({ "email": "root@example.net" }),
            &[],
        ),
        (SERVICE, "ConfirmEmail", json!({ "token": "ide_a_b" }), &[]),
        (
            SERVICE,
            "DeactivateUser",
            user.clone(),
            &[USER_STATUS_CHANGED],
        ),
        (SERVICE, "DeactivateUser", user.clone(), &[]),
        (SERVICE, "SuspendUser", user.clone(), &[USER_STATUS_CHANGED]),
        (SERVICE, "SuspendUser", user.clone(), &[]),
        (
            SERVICE,
            "ActivateUser",
            user.clone(),
            &[USER_STATUS_CHANGED],
        ),
        (SERVICE, "ActivateUser", user, &[]),
    ]
}

fn rights(user_id: &str) -> Vec<Step> {
    let roles = json!({ "user_id": user_id, "role_ids": ["clerk"] });
    let nothing = json!({ "user_id": user_id, "role_ids": ["nothing"] });
    let permissions = json!({ "user_id": user_id, "permission_ids": ["sing"] });
    let of_role = json!({ "role_id": "clerk", "permission_ids": ["sing"] });
    let hash = json!({
        "user_id": user_id, "password_hash": "$argon2id$x", "operation_id": "one",
        "cause": "PASSWORD_CHANGE_CAUSE_RESET",
    });
    let address = json!({ "user_id": user_id, "email": "person0@example.org" });
    let federated = json!({
        "operation_id": "one", "username": "fed", "email": "fed@example.org", "first_name": "Fe", "last_name": "D",
    });
    let (role, permission) = ("RoleService", "PermissionService");
    let credential = "CredentialService";
    vec![
        (role, "AssignRoles", nothing, &[]),
        (role, "AssignRoles", roles.clone(), &[USER_RIGHTS_CHANGED]),
        (role, "AssignRoles", roles.clone(), &[]),
        (role, "UnassignRoles", roles.clone(), &[USER_RIGHTS_CHANGED]),
        (role, "UnassignRoles", roles, &[]),
        (
            role,
            "GrantRolePermissions",
            of_role.clone(),
            &[ROLE_CHANGED],
        ),
        (role, "GrantRolePermissions", of_role.clone(), &[]),
        (
            role,
            "RevokeRolePermissions",
            of_role.clone(),
            &[ROLE_CHANGED],
        ),
        (role, "RevokeRolePermissions", of_role, &[]),
        (
            permission,
            "GrantUserPermissions",
            permissions.clone(),
            &[USER_RIGHTS_CHANGED],
        ),
        (permission, "GrantUserPermissions", permissions.clone(), &[]),
        (
            permission,
            "RevokeUserPermissions",
            permissions.clone(),
            &[USER_RIGHTS_CHANGED],
        ),
        (permission, "RevokeUserPermissions", permissions, &[]),
        (
            credential,
            "SetPasswordHash",
            hash.clone(),
            &[PASSWORD_CHANGED],
        ),
        (credential, "SetPasswordHash", hash, &[]),
        (
            credential,
            "ConfirmEmailAddress",
            address.clone(),
            &[USER_UPDATED],
        ),
        (credential, "ConfirmEmailAddress", address, &[]),
        (
            credential,
            "CreateFederatedUser",
            federated.clone(),
            &[USER_CREATED],
        ),
        (credential, "CreateFederatedUser", federated, &[]),
        (credential, "ClaimPendingMails", json!({ "limit": 10 }), &[]),
    ]
}

/// What is given with another end changes, and with the same one does not.
fn ends(user_id: &str) -> Vec<Step> {
    const TELLS: &[&str] = &[USER_RIGHTS_CHANGED];
    let (role, permission) = ("RoleService", "PermissionService");
    let give = |things: &str, id: &str, year: u32| {
        let end = format!("{year}-01-01T00:00:00Z");
        json!({ "user_id": user_id, things: [id], "expire_time": end })
    };
    let roles = |year| give("role_ids", "clerk", year);
    let items = |year| json!({ "items": [roles(year)] });
    let permissions = |year| give("permission_ids", "sing", year);
    vec![
        (role, "AssignRoles", roles(2990), TELLS),
        (role, "AssignRoles", roles(2991), TELLS),
        (role, "AssignRoles", roles(2991), &[]),
        (role, "BatchAssignRoles", items(2991), &[]),
        (role, "BatchAssignRoles", items(2992), TELLS),
        (permission, "GrantUserPermissions", permissions(2990), TELLS),
        (permission, "GrantUserPermissions", permissions(2991), TELLS),
        (permission, "GrantUserPermissions", permissions(2991), &[]),
    ]
}

fn subscriptions(user_id: &str) -> Vec<Step> {
    const SERVICE: &str = "SubscriptionService";
    const TELLS: &[&str] = &[SUBSCRIPTION_CHANGED];
    let end = "2990-01-01T00:00:00Z";
    let create = json!({
        "user_id": user_id, "plan": "BASIC", "expire_time": end, "request_id": "subscribe",
    });
    let plan = |plan: &str| json!({ "user_id": user_id, "subscription": { "plan": plan } });
    let cancel = |mode: &str| json!({ "user_id": user_id, "mode": mode });
    let renew = json!({ "user_id": user_id, "expire_time": end });
    vec![
        (SERVICE, "CreateSubscription", create.clone(), TELLS),
        (SERVICE, "CreateSubscription", create, &[]),
        (SERVICE, "UpdateSubscription", plan("PREMIUM"), TELLS),
        (SERVICE, "UpdateSubscription", plan("PREMIUM"), &[]),
        (SERVICE, "UpdateSubscription", plan("GOLD"), &[]),
        (
            SERVICE,
            "CancelSubscription",
            cancel("CANCEL_MODE_AT_END"),
            TELLS,
        ),
        (
            SERVICE,
            "CancelSubscription",
            cancel("CANCEL_MODE_AT_END"),
            &[],
        ),
        (
            SERVICE,
            "CancelSubscription",
            cancel("CANCEL_MODE_NOW"),
            TELLS,
        ),
        (
            SERVICE,
            "CancelSubscription",
            cancel("CANCEL_MODE_NOW"),
            &[],
        ),
        (SERVICE, "RenewSubscription", renew, TELLS),
    ]
}

fn named_things() -> Vec<Step> {
    let (role, permission, kind) = ("RoleService", "PermissionService", "UserTypeService");
    let new = json!({ "name": "new", "request_id": "new" });
    let text = json!({ "description": "Other." });
    vec![
        (role, "CreateRole", new.clone(), &[ROLE_CHANGED]),
        (role, "CreateRole", new.clone(), &[]),
        (
            role,
            "UpdateRole",
            json!({ "role_id": "clerk", "role": text }),
            &[ROLE_CHANGED],
        ),
        (
            role,
            "UpdateRole",
            json!({ "role_id": "clerk", "role": {} }),
            &[],
        ),
        (
            permission,
            "CreatePermission",
            json!({ "name": "new" }),
            &[PERMISSION_CHANGED],
        ),
        (
            permission,
            "CreatePermission",
            json!({ "name": "new" }),
            &[],
        ),
        (
            permission,
            "UpdatePermission",
            json!({ "permission_id": "sing", "permission": text }),
            &[PERMISSION_CHANGED],
        ),
        (
            permission,
            "UpdatePermission",
            json!({ "permission_id": "sing", "permission": {} }),
            &[],
        ),
        (
            kind,
            "CreateUserType",
            json!({ "name": "new" }),
            &[USER_TYPE_CHANGED],
        ),
        (kind, "CreateUserType", json!({ "name": "new" }), &[]),
        (
            kind,
            "UpdateUserType",
            json!({ "user_type_id": "machine", "user_type": text }),
            &[USER_TYPE_CHANGED],
        ),
        (
            kind,
            "UpdateUserType",
            json!({ "user_type_id": "machine", "user_type": {} }),
            &[],
        ),
    ]
}

fn deletions(user_id: &str) -> Vec<Step> {
    let [user, role, permission, kind] = [
        json!({ "user_id": user_id }),
        json!({ "role_id": "clerk" }),
        json!({ "permission_id": "sing" }),
        json!({ "user_type_id": "machine" }),
    ];
    vec![
        ("RoleService", "DeleteRole", role.clone(), &[ROLE_DELETED]),
        ("RoleService", "DeleteRole", role, &[]),
        (
            "PermissionService",
            "DeletePermission",
            permission.clone(),
            &[PERMISSION_DELETED],
        ),
        ("PermissionService", "DeletePermission", permission, &[]),
        (
            "UserTypeService",
            "DeleteUserType",
            kind.clone(),
            &[USER_TYPE_CHANGED],
        ),
        ("UserTypeService", "DeleteUserType", kind, &[]),
        ("UserService", "DeleteUser", user.clone(), &[USER_DELETED]),
        ("UserService", "DeleteUser", user, &[]),
    ]
}

/// The methods of the contract that write.
fn writes(pool: &DescriptorPool) -> BTreeSet<String> {
    // What an import tells stands beside its other tests.
    const OTHERS: [&str; 8] = [
        "Get", "List", "BatchGet", "Check", "Watch", "Await", "Export", "Import",
    ];
    pool.services()
        .filter(|service| service.package_name() == "identity.user.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| method.name().to_owned())
        .filter(|name| !OTHERS.iter().any(|other| name.starts_with(other)))
        .collect()
}

/// The events of the audit log behind a place, oldest first.
async fn audited(world: &World, behind: u64) -> Vec<AuditEvent> {
    let filter = AuditFilter {
        order: AuditOrder::Ascending,
        ..AuditFilter::default()
    };
    let page = world.app.store().list_audit_events(&filter, None, 10_000);
    let mut events = page.await.unwrap().items;
    events.retain(|event| event.sequence > behind);
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_tells_what_it_changes_and_nothing_else() {
    let pool = DescriptorPool::decode(identity_proto::DESCRIPTOR_SET).unwrap();
    for world in World::all().await {
        world.sql(&THINGS).await;
        let user_id = world.person().await.id;
        let steps = [
            users(&user_id),
            rights(&user_id),
            ends(&user_id),
            subscriptions(&user_id),
            named_things(),
            deletions(&user_id),
        ];
        let mut place = world.app.store().head().await.unwrap().revision;
        let mut audit_place = audited(&world, 0).await.len() as u64;
        let mut called = BTreeSet::new();
        for (service, method, message, expected) in steps.concat() {
            let service = pool
                .get_service_by_name(&format!("identity.user.v1.{service}"))
                .unwrap();
            let input = service.methods().find(|found| found.name() == method);
            let message = DynamicMessage::deserialize(input.unwrap().input(), message).unwrap();
            let path = format!("/{}/{method}", service.full_name());
            let answer = world.call(&path, message).await;
            let reader = world.app.store().database().reader();
            let events = outbox::read_after(reader, place, 10).await.unwrap();
            let told: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
            assert_eq!(told, expected, "{method}: {answer:?}");
            place = events.last().map_or(place, |event| event.position.revision);
            let written = audited(&world, audit_place).await;
            audit_place += written.len() as u64;
            let done: Vec<_> = written
                .iter()
                .map(|event| {
                    (
                        event.act.action.as_ref(),
                        event.outcome,
                        event.position.revision,
                    )
                })
                .collect();
            let one = (method, Outcome::Done, place);
            // What is asked for and does not count yet is told to nobody.
            let is_act = !told.is_empty() || method == "RequestEmailChange";
            let expected = if is_act { vec![one] } else { vec![] };
            assert_eq!(done, expected, "{method}: {written:?}");
            for event in written {
                assert!(!event.act.subject.id.is_empty(), "{method} is on something");
                assert!(!event.act.actor.id.is_empty(), "{method} is somebody's");
                assert!(!event.act.request_id.is_empty(), "{method} is a call");
            }
            called.insert(method.to_owned());
        }
        assert_eq!(called, writes(&pool));
    }
}
