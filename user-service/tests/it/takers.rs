//! Nobody takes from a role, or from everybody at once, what they do not hold.

use identity_proto::user::v1 as wire;

use crate::harness::{World, lacking};

/// Everything that the RPCs below ask of their caller, and one thing to take.
const RIGHTS: [&str; 4] = [
    "roles.grant",
    "roles.delete",
    "permissions.delete",
    "users.update",
];

/// Somebody with those rights and no others.
async fn helper(world: &World) -> String {
    let id = world.person().await.id;
    for right in RIGHTS {
        world.grant(&id, right).await;
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_from_a_role_what_they_do_not_hold() {
    for world in World::all().await {
        let caller = helper(&world).await;
        let revoke = async |names: &[&str]| {
            let mut request = wire::RevokeRolePermissionsRequest {
                role_id: world.role("editor").await,
                permission_ids: Vec::new(),
            };
            for name in names {
                request.permission_ids.push(world.permission(name).await);
            }
            world
                .roles()
                .revoke_role_permissions(world.by(&caller, request))
                .await
                .map(|answer| answer.into_inner().revoked_count)
        };
        let refused = revoke(&["users.update", "users.create"]).await;
        assert_eq!(lacking(refused), "users.create");
        // The role has not `users.delete`, so nothing that the caller lacks is taken.
        let taken = revoke(&["users.update", "users.delete"]).await.unwrap();
        assert_eq!(taken, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_a_role_that_gives_more_than_they_hold() {
    for world in World::all().await {
        let caller = helper(&world).await;
        let role = world
            .new_role("clerk", &["users.update", "users.create"])
            .await;
        let delete = async || {
            let request = wire::DeleteRoleRequest {
                role_id: role.clone(),
                ..Default::default()
            };
            let mut roles = world.roles();
            roles.delete_role(world.by(&caller, request)).await
        };
        assert_eq!(lacking(delete().await), "users.create");
        world.grant(&caller, "users.create").await;
        delete().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_a_permission_that_they_do_not_hold() {
    for world in World::all().await {
        let caller = helper(&world).await;
        let request = wire::CreatePermissionRequest {
            name: "invoices.read".into(),
            ..Default::default()
        };
        world
            .permissions()
            .create_permission(world.by_admin(request))
            .await
            .unwrap();
        let permission_id = world.permission("invoices.read").await;
        let delete = async || {
            let request = wire::DeletePermissionRequest {
                permission_id: permission_id.clone(),
                ..Default::default()
            };
            let mut permissions = world.permissions();
            permissions
                .delete_permission(world.by(&caller, request))
                .await
        };
        assert_eq!(lacking(delete().await), "invoices.read");
        world.grant(&caller, "invoices.read").await;
        delete().await.unwrap();
    }
}
