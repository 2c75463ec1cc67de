//! Roles and permissions: who gives what to whom, and how soon it counts.

use identity_guard::ErrorReason;
use identity_proto::user::v1::{self as wire, CheckReason, permission_source::Source};

use crate::harness::{World, reason};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_what_they_do_not_hold() {
    for world in World::all().await {
        let (giver, taker) = (world.person().await, world.person().await);
        for permission in [
            "roles.assign",
            "permissions.grant",
            "roles.grant",
            "users.read",
        ] {
            world.grant(&giver.id, permission).await;
        }
        for role in ["admin", "editor", "viewer"] {
            let request = wire::AssignRolesRequest {
                user_id: taker.id.clone(),
                role_ids: vec![world.role(role).await],
                expire_time: None,
            };
            let refused = world
                .roles()
                .assign_roles(world.by(&giver.id, request))
                .await;
            assert_eq!(reason(refused), ErrorReason::GrantExceedsCaller, "{role}");
        }
        let give = |id: String| wire::GrantUserPermissionsRequest {
            user_id: taker.id.clone(),
            permission_ids: vec![id],
            expire_time: None,
        };
        let held = give(world.permission("users.read").await);
        let answer = world
            .permissions()
            .grant_user_permissions(world.by(&giver.id, held))
            .await
            .unwrap();
        assert_eq!(answer.into_inner().granted_count, 1);
        let not_held = give(world.permission("users.delete").await);
        let refused = world
            .permissions()
            .grant_user_permissions(world.by(&giver.id, not_held))
            .await;
        assert_eq!(reason(refused), ErrorReason::GrantExceedsCaller);
        let request = wire::GrantRolePermissionsRequest {
            role_id: world.role("viewer").await,
            permission_ids: vec![world.permission("users.delete").await],
        };
        let refused = world
            .roles()
            .grant_role_permissions(world.by(&giver.id, request))
            .await;
        assert_eq!(reason(refused), ErrorReason::GrantExceedsCaller);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_role_counts_at_once_and_a_taken_one_no_longer() {
    for world in World::all().await {
        let user = world.person().await;
        let list = || world.by(&user.id, wire::ListUsersRequest::default());
        assert_eq!(
            reason(world.users().list_users(list()).await),
            ErrorReason::PermissionRequired
        );
        world.assign(&user.id, "viewer").await;
        world.users().list_users(list()).await.unwrap();
        let viewer = world.role("viewer").await;
        let request = wire::RevokeRolePermissionsRequest {
            role_id: viewer.clone(),
            permission_ids: vec![world.permission("users.read").await],
        };
        let answer = world
            .roles()
            .revoke_role_permissions(world.by_admin(request))
            .await
            .unwrap();
        assert_eq!(answer.into_inner().revoked_count, 1);
        assert_eq!(
            reason(world.users().list_users(list()).await),
            ErrorReason::PermissionRequired
        );
        let request = wire::GrantRolePermissionsRequest {
            role_id: viewer.clone(),
            permission_ids: vec![world.permission("users.read").await],
        };
        world
            .roles()
            .grant_role_permissions(world.by_admin(request))
            .await
            .unwrap();
        world.users().list_users(list()).await.unwrap();
        let request = wire::UnassignRolesRequest {
            user_id: user.id.clone(),
            role_ids: vec![viewer],
        };
        let answer = world
            .roles()
            .unassign_roles(world.by_admin(request))
            .await
            .unwrap();
        assert_eq!(answer.into_inner().unassigned_count, 1);
        assert_eq!(
            reason(world.users().list_users(list()).await),
            ErrorReason::PermissionRequired
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_permission_is_the_administrators_at_once() {
    for world in World::all().await {
        let request = wire::CreatePermissionRequest {
            name: "invoices.read".into(),
            ..Default::default()
        };
        let created = world
            .permissions()
            .create_permission(world.by_admin(request))
            .await
            .unwrap()
            .into_inner();
        let id = created.permission.unwrap().id;
        let own = world.get_self(&world.admin.id).await.unwrap();
        assert!(own.permissions.contains(&"invoices.read".to_owned()));
        assert_eq!(own.roles, ["admin"]);
        let user = world.person().await;
        world.grant(&user.id, "invoices.read").await;
        assert_eq!(
            world.get_self(&user.id).await.unwrap().permissions,
            ["invoices.read"]
        );
        let request = wire::DeletePermissionRequest {
            permission_id: id,
            ..Default::default()
        };
        world
            .permissions()
            .delete_permission(world.by_admin(request))
            .await
            .unwrap();
        assert!(
            world
                .get_self(&user.id)
                .await
                .unwrap()
                .permissions
                .is_empty()
        );
        // A new one of the same name brings no old grant back.
        let request = wire::CreatePermissionRequest {
            name: "invoices.read".into(),
            ..Default::default()
        };
        world
            .permissions()
            .create_permission(world.by_admin(request))
            .await
            .unwrap();
        assert!(
            world
                .get_self(&user.id)
                .await
                .unwrap()
                .permissions
                .is_empty()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_say_why() {
    for world in World::all().await {
        let user = world.person().await;
        world.assign(&user.id, "viewer").await;
        world.grant(&user.id, "users.read").await;
        let request = wire::CheckPermissionsRequest {
            user_id: user.id.clone(),
            permissions: ["users.read", "users.delete", "no.such", "roles.read"]
                .map(Into::into)
                .to_vec(),
            ..Default::default()
        };
        let check = || world.by_admin(request.clone());
        let checks = world
            .permissions()
            .check_permissions(check())
            .await
            .unwrap()
            .into_inner()
            .checks;
        let reasons: Vec<_> = checks.iter().map(wire::PermissionCheck::reason).collect();
        assert_eq!(
            reasons,
            [
                CheckReason::Granted,
                CheckReason::PermissionMissing,
                CheckReason::PermissionUnknown,
                CheckReason::Granted
            ]
        );
        let sources: Vec<_> = checks[0]
            .sources
            .iter()
            .map(|source| source.source.clone().unwrap())
            .collect();
        assert_eq!(
            sources,
            [Source::Direct(true), Source::Role("viewer".into())]
        );
        assert_eq!(checks[1].granting_roles, ["admin"]);

        let list = wire::ListUserPermissionsRequest {
            user_id: user.id.clone(),
            ..Default::default()
        };
        let held = world
            .permissions()
            .list_user_permissions(world.by(&user.id, list))
            .await
            .unwrap()
            .into_inner();
        let names: Vec<_> = held
            .permissions
            .iter()
            .map(|held| held.permission.clone().unwrap().name)
            .collect();
        assert_eq!(names, world.get_self(&user.id).await.unwrap().permissions);
        assert!(held.permissions.iter().all(|held| !held.sources.is_empty()));

        world.suspend(&user.id).await.unwrap();
        let checks = world
            .permissions()
            .check_permissions(check())
            .await
            .unwrap()
            .into_inner()
            .checks;
        assert_eq!(checks[0].reason(), CheckReason::UserNotActive);
        assert!(!checks[0].allowed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_absent_is_named() {
    for world in World::all().await {
        let user = world.person().await;
        let roles = |user_id: &str, role: &str| wire::AssignRolesRequest {
            user_id: user_id.into(),
            role_ids: vec![role.into()],
            expire_time: None,
        };
        let viewer = world.role("viewer").await;
        let refused = world
            .roles()
            .assign_roles(world.by_admin(roles("nobody", &viewer)))
            .await;
        assert_eq!(reason(refused), ErrorReason::UserNotFound);
        let refused = world
            .roles()
            .assign_roles(world.by_admin(roles(&user.id, "nothing")))
            .await;
        assert_eq!(reason(refused), ErrorReason::RoleNotFound);
        let request = wire::GrantUserPermissionsRequest {
            user_id: user.id,
            permission_ids: vec!["nothing".into()],
            expire_time: None,
        };
        let refused = world
            .permissions()
            .grant_user_permissions(world.by_admin(request))
            .await;
        assert_eq!(reason(refused), ErrorReason::PermissionNotFound);
    }
}
