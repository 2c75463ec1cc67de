//! Roles, permissions and types: unique names, built-in ones kept, used ones kept.

use identity_guard::ErrorReason;
use identity_proto::user::v1 as wire;

use crate::harness::{World, person, reason, violated};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_lives_from_creation_to_deletion() {
    for world in World::all().await {
        let request = wire::CreateRoleRequest {
            name: "auditor".into(),
            description: "Looks.".into(),
            request_id: "r".into(),
        };
        let create = || world.by_admin(request.clone());
        let role = world
            .roles()
            .create_role(create())
            .await
            .unwrap()
            .into_inner()
            .role
            .unwrap();
        let again = world
            .roles()
            .create_role(create())
            .await
            .unwrap()
            .into_inner()
            .role
            .unwrap();
        assert_eq!(role, again);
        let taken = wire::CreateRoleRequest {
            name: "auditor".into(),
            ..Default::default()
        };
        assert_eq!(
            reason(world.roles().create_role(world.by_admin(taken)).await),
            ErrorReason::NameTaken
        );
        let describe = wire::UpdateRoleRequest {
            role_id: role.id.clone(),
            role: Some(wire::RoleUpdate {
                description: Some("Inspects.".into()),
            }),
            etag: role.etag.clone(),
            ..Default::default()
        };
        let described = world
            .roles()
            .update_role(world.by_admin(describe.clone()))
            .await
            .unwrap()
            .into_inner()
            .role
            .unwrap();
        assert_eq!(
            (described.name.as_str(), described.description.as_str()),
            ("auditor", "Inspects.")
        );
        assert_eq!(
            reason(world.roles().update_role(world.by_admin(describe)).await),
            ErrorReason::EtagMismatch
        );
        let again = world.roles().create_role(create()).await.unwrap();
        assert_eq!(again.into_inner().role, Some(described));
        let user = world.person().await;
        world.assign(&user.id, "auditor").await;
        let delete = wire::DeleteRoleRequest {
            role_id: role.id.clone(),
            ..Default::default()
        };
        world
            .roles()
            .delete_role(world.by_admin(delete))
            .await
            .unwrap();
        assert!(world.get_self(&user.id).await.unwrap().roles.is_empty());
        let get = wire::GetRoleRequest {
            role_id: role.id,
            ..Default::default()
        };
        assert_eq!(
            reason(world.roles().get_role(world.by_admin(get)).await),
            ErrorReason::RoleNotFound
        );
        assert_eq!(
            reason(world.roles().create_role(create()).await),
            ErrorReason::RoleNotFound
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_in_stays() {
    for world in World::all().await {
        let admin = world.role("admin").await;
        let update = wire::UpdateRoleRequest {
            role_id: admin.clone(),
            role: Some(wire::RoleUpdate {
                description: Some("x".into()),
            }),
            ..Default::default()
        };
        assert_eq!(
            reason(world.roles().update_role(world.by_admin(update)).await),
            ErrorReason::BuiltIn
        );
        let delete = wire::DeleteRoleRequest {
            role_id: admin.clone(),
            ..Default::default()
        };
        assert_eq!(
            reason(world.roles().delete_role(world.by_admin(delete)).await),
            ErrorReason::BuiltIn
        );
        let revoke = wire::RevokeRolePermissionsRequest {
            role_id: admin,
            permission_ids: vec![world.permission("users.read").await],
        };
        assert_eq!(
            reason(
                world
                    .roles()
                    .revoke_role_permissions(world.by_admin(revoke))
                    .await
            ),
            ErrorReason::BuiltIn
        );

        let read = world.permission("users.read").await;
        let update = |update| wire::UpdatePermissionRequest {
            permission_id: read.clone(),
            permission: Some(update),
            ..Default::default()
        };
        let describe = update(wire::PermissionUpdate {
            description: Some("Mine.".into()),
        });
        world
            .permissions()
            .update_permission(world.by_admin(describe))
            .await
            .unwrap();
        let delete = wire::DeletePermissionRequest {
            permission_id: read,
            ..Default::default()
        };
        assert_eq!(
            reason(
                world
                    .permissions()
                    .delete_permission(world.by_admin(delete))
                    .await
            ),
            ErrorReason::BuiltIn
        );

        let id = world.admin.user_type_id.clone();
        let delete = wire::DeleteUserTypeRequest {
            user_type_id: id,
            ..Default::default()
        };
        assert_eq!(
            reason(
                world
                    .user_types()
                    .delete_user_type(world.by_admin(delete))
                    .await
            ),
            ErrorReason::BuiltIn
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_users_have_cannot_be_deleted() {
    for world in World::all().await {
        let create = wire::CreateUserTypeRequest {
            name: "machine".into(),
            ..Default::default()
        };
        let created = world
            .user_types()
            .create_user_type(world.by_admin(create))
            .await
            .unwrap()
            .into_inner();
        let id = created.user_type.unwrap().id;
        let mut request = person("robot");
        request.user_type_id.clone_from(&id);
        let robot = world.create(&request).await.unwrap();
        let delete = || wire::DeleteUserTypeRequest {
            user_type_id: id.clone(),
            ..Default::default()
        };
        assert_eq!(
            reason(
                world
                    .user_types()
                    .delete_user_type(world.by_admin(delete()))
                    .await
            ),
            ErrorReason::InUse
        );
        let gone = wire::DeleteUserRequest {
            user_id: robot.id,
            ..Default::default()
        };
        world
            .users()
            .delete_user(world.by_admin(gone))
            .await
            .unwrap();
        world
            .user_types()
            .delete_user_type(world.by_admin(delete()))
            .await
            .unwrap();
        assert_eq!(
            reason(world.create(&person_of("robot", &id)).await),
            ErrorReason::UserTypeNotFound
        );
    }
}

fn person_of(name: &str, user_type_id: &str) -> wire::CreateUserRequest {
    wire::CreateUserRequest {
        user_type_id: user_type_id.into(),
        ..person(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_role_or_permission_never_changes() {
    for world in World::all().await {
        let mask = || {
            Some(prost_types::FieldMask {
                paths: vec!["description".into(), "name".into()],
            })
        };
        let role = wire::UpdateRoleRequest {
            role_id: world.role("viewer").await,
            role: Some(wire::RoleUpdate {
                description: Some("a\0b".into()),
            }),
            update_mask: mask(),
            ..Default::default()
        };
        let refused = world.roles().update_role(world.by_admin(role)).await;
        assert_eq!(
            violated(refused),
            ["update_mask.paths[1]", "role.description"]
        );
        let permission = wire::UpdatePermissionRequest {
            permission_id: world.permission("users.read").await,
            permission: Some(wire::PermissionUpdate::default()),
            update_mask: mask(),
            ..Default::default()
        };
        let refused = world
            .permissions()
            .update_permission(world.by_admin(permission))
            .await;
        assert_eq!(violated(refused), ["update_mask.paths[1]"]);
    }
}
