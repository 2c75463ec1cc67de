//! Roles and permissions by their names, given by the administrator.

use identity_proto::user::v1 as wire;

use super::World;

impl World {
    /// The id of a role.
    pub(crate) async fn role(&self, name: &str) -> String {
        let request = wire::ListRolesRequest {
            name: name.into(),
            ..Default::default()
        };
        let answer = self
            .roles()
            .list_roles(self.by_admin(request))
            .await
            .unwrap();
        answer.into_inner().roles.remove(0).id
    }

    /// The id of a permission.
    pub(crate) async fn permission(&self, name: &str) -> String {
        let request = wire::ListPermissionsRequest {
            name: name.into(),
            ..Default::default()
        };
        let answer = self
            .permissions()
            .list_permissions(self.by_admin(request))
            .await
            .unwrap();
        answer.into_inner().permissions.remove(0).id
    }

    pub(crate) async fn assign(&self, user_id: &str, role: &str) {
        let request = wire::AssignRolesRequest {
            user_id: user_id.into(),
            role_ids: vec![self.role(role).await],
            expire_time: None,
        };
        self.roles()
            .assign_roles(self.by_admin(request))
            .await
            .unwrap();
    }

    pub(crate) async fn grant(&self, user_id: &str, permission: &str) {
        let request = wire::GrantUserPermissionsRequest {
            user_id: user_id.into(),
            permission_ids: vec![self.permission(permission).await],
            expire_time: None,
        };
        self.permissions()
            .grant_user_permissions(self.by_admin(request))
            .await
            .unwrap();
    }

    /// A new role that gives these permissions: its id.
    pub(crate) async fn new_role(&self, name: &str, permissions: &[&str]) -> String {
        let request = wire::CreateRoleRequest {
            name: name.into(),
            ..Default::default()
        };
        let answer = self
            .roles()
            .create_role(self.by_admin(request))
            .await
            .unwrap();
        let role_id = answer.into_inner().role.unwrap().id;
        for permission in permissions {
            let request = wire::GrantRolePermissionsRequest {
                role_id: role_id.clone(),
                permission_ids: vec![self.permission(permission).await],
            };
            self.roles()
                .grant_role_permissions(self.by_admin(request))
                .await
                .unwrap();
        }
        role_id
    }
}
