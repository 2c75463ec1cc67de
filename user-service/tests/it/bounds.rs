//! How much one user can have: the hundred-and-first role or direct permission is refused, and nothing is given.

use identity_guard::ErrorReason;
use identity_proto::user::v1 as wire;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::{World, reason};

/// `role1` to `role101` and `permission1` to `permission101`, whose ids are their names.
const MANY: [&str; 2] = [
    "INSERT INTO roles (id, name, description, built_in, created_at, updated_at, version)
     SELECT 'role' || i, 'role' || i, '', false, 0, 0, 1
     FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 101) SELECT i FROM n) AS numbers",
    "INSERT INTO permissions (id, name, description, built_in, created_at, updated_at, version)
     SELECT 'permission' || i, 'permission' || i, '', false, 0, 0, 1
     FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 101) SELECT i FROM n) AS numbers",
];

fn ids(kind: &str, numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| format!("{kind}{number}")).collect()
}

/// What a refusal says is full.
fn full<T: std::fmt::Debug>(answer: Result<T, Status>) -> (String, String) {
    let status = answer.expect_err("is refused");
    let mut details = status.get_details_precondition_failure().unwrap();
    let violation = details.violations.remove(0);
    assert_eq!(
        reason::<T>(Err(status)),
        ErrorReason::LimitReached,
        "{violation:?}"
    );
    (violation.subject, violation.description)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_at_most_a_hundred_roles() {
    for world in World::all().await {
        world.sql(&MANY).await;
        let user_id = world.person().await.id;
        let assign = async |role_ids: Vec<String>| {
            let request = wire::AssignRolesRequest {
                user_id: user_id.clone(),
                role_ids,
                expire_time: None,
            };
            let mut roles = world.roles();
            let answer = roles.assign_roles(world.by_admin(request)).await?;
            Ok::<_, Status>(answer.into_inner().assigned_count)
        };
        assert_eq!(assign(ids("role", 1..=60)).await.unwrap(), 60);
        let (subject, description) = full(assign(ids("role", 60..=101)).await);
        assert_eq!(subject, format!("user/{user_id}"));
        assert_eq!(description, "a user can have at most 100 roles");
        // What the user has already does not count twice.
        assert_eq!(assign(ids("role", 1..=100)).await.unwrap(), 40);
        assert_eq!(assign(ids("role", 1..=100)).await.unwrap(), 0);
        full(assign(ids("role", 101..=101)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_at_most_a_hundred_permissions_directly() {
    for world in World::all().await {
        world.sql(&MANY).await;
        let user_id = world.person().await.id;
        let grant = async |permission_ids: Vec<String>| {
            let request = wire::GrantUserPermissionsRequest {
                user_id: user_id.clone(),
                permission_ids,
                expire_time: None,
            };
            let mut permissions = world.permissions();
            let answer = permissions
                .grant_user_permissions(world.by_admin(request))
                .await?;
            Ok::<_, Status>(answer.into_inner().granted_count)
        };
        assert_eq!(grant(ids("permission", 1..=60)).await.unwrap(), 60);
        let (_, description) = full(grant(ids("permission", 60..=101)).await);
        assert_eq!(
            description,
            "a user can have at most 100 permissions directly"
        );
        assert_eq!(grant(ids("permission", 2..=100)).await.unwrap(), 40);
        full(grant(ids("permission", 101..=101)).await);
    }
}
