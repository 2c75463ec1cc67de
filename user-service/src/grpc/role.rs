//! `RoleService`: named sets of permissions, and who has them.

use std::sync::Arc;

use identity_proto::user::v1::{self as wire, role_service_server::RoleService};
use tonic::{Request, Response, Status};

use super::Context;

mod assign;
mod batch_assign;
mod create;
mod delete;
mod get;
mod grant_permissions;
mod list;
mod list_of_user;
mod revoke_permissions;
mod unassign;
mod update;

/// Serves roles.
pub struct Roles(pub Arc<Context>);

#[tonic::async_trait]
impl RoleService for Roles {
    async fn create_role(
        &self,
        request: Request<wire::CreateRoleRequest>,
    ) -> Result<Response<wire::CreateRoleResponse>, Status> {
        Ok(Response::new(create::handle(&self.0, request).await?))
    }

    async fn get_role(
        &self,
        request: Request<wire::GetRoleRequest>,
    ) -> Result<Response<wire::GetRoleResponse>, Status> {
        Ok(Response::new(get::handle(&self.0, request).await?))
    }

    async fn list_roles(
        &self,
        request: Request<wire::ListRolesRequest>,
    ) -> Result<Response<wire::ListRolesResponse>, Status> {
        Ok(Response::new(list::handle(&self.0, request).await?))
    }

    async fn update_role(
        &self,
        request: Request<wire::UpdateRoleRequest>,
    ) -> Result<Response<wire::UpdateRoleResponse>, Status> {
        Ok(Response::new(update::handle(&self.0, request).await?))
    }

    async fn delete_role(
        &self,
        request: Request<wire::DeleteRoleRequest>,
    ) -> Result<Response<wire::DeleteRoleResponse>, Status> {
        Ok(Response::new(delete::handle(&self.0, request).await?))
    }

    async fn grant_role_permissions(
        &self,
        request: Request<wire::GrantRolePermissionsRequest>,
    ) -> Result<Response<wire::GrantRolePermissionsResponse>, Status> {
        Ok(Response::new(
            grant_permissions::handle(&self.0, request).await?,
        ))
    }

    async fn revoke_role_permissions(
        &self,
        request: Request<wire::RevokeRolePermissionsRequest>,
    ) -> Result<Response<wire::RevokeRolePermissionsResponse>, Status> {
        Ok(Response::new(
            revoke_permissions::handle(&self.0, request).await?,
        ))
    }

    async fn assign_roles(
        &self,
        request: Request<wire::AssignRolesRequest>,
    ) -> Result<Response<wire::AssignRolesResponse>, Status> {
        Ok(Response::new(assign::handle(&self.0, request).await?))
    }

    async fn batch_assign_roles(
        &self,
        request: Request<wire::BatchAssignRolesRequest>,
    ) -> Result<Response<wire::BatchAssignRolesResponse>, Status> {
        Ok(Response::new(batch_assign::handle(&self.0, request).await?))
    }

    async fn unassign_roles(
        &self,
        request: Request<wire::UnassignRolesRequest>,
    ) -> Result<Response<wire::UnassignRolesResponse>, Status> {
        Ok(Response::new(unassign::handle(&self.0, request).await?))
    }

    async fn list_user_roles(
        &self,
        request: Request<wire::ListUserRolesRequest>,
    ) -> Result<Response<wire::ListUserRolesResponse>, Status> {
        Ok(Response::new(list_of_user::handle(&self.0, request).await?))
    }
}
