//! `PermissionService`: what can be done, and who may do it.

use std::sync::Arc;

use identity_proto::user::v1::{self as wire, permission_service_server::PermissionService};
use tonic::{Request, Response, Status};

use super::Context;

mod check;
mod create;
mod delete;
mod get;
mod grant_to_user;
mod list;
mod list_of_user;
mod revoke_from_user;
mod update;

/// Serves permissions.
pub struct Permissions(pub Arc<Context>);

#[tonic::async_trait]
impl PermissionService for Permissions {
    async fn create_permission(
        &self,
        request: Request<wire::CreatePermissionRequest>,
    ) -> Result<Response<wire::CreatePermissionResponse>, Status> {
        Ok(Response::new(create::handle(&self.0, request).await?))
    }

    async fn get_permission(
        &self,
        request: Request<wire::GetPermissionRequest>,
    ) -> Result<Response<wire::GetPermissionResponse>, Status> {
        Ok(Response::new(get::handle(&self.0, request).await?))
    }

    async fn list_permissions(
        &self,
        request: Request<wire::ListPermissionsRequest>,
    ) -> Result<Response<wire::ListPermissionsResponse>, Status> {
        Ok(Response::new(list::handle(&self.0, request).await?))
    }

    async fn update_permission(
        &self,
        request: Request<wire::UpdatePermissionRequest>,
    ) -> Result<Response<wire::UpdatePermissionResponse>, Status> {
        Ok(Response::new(update::handle(&self.0, request).await?))
    }

    async fn delete_permission(
        &self,
        request: Request<wire::DeletePermissionRequest>,
    ) -> Result<Response<wire::DeletePermissionResponse>, Status> {
        Ok(Response::new(delete::handle(&self.0, request).await?))
    }

    async fn grant_user_permissions(
        &self,
        request: Request<wire::GrantUserPermissionsRequest>,
    ) -> Result<Response<wire::GrantUserPermissionsResponse>, Status> {
        Ok(Response::new(
            grant_to_user::handle(&self.0, request).await?,
        ))
    }

    async fn revoke_user_permissions(
        &self,
        request: Request<wire::RevokeUserPermissionsRequest>,
    ) -> Result<Response<wire::RevokeUserPermissionsResponse>, Status> {
        Ok(Response::new(
            revoke_from_user::handle(&self.0, request).await?,
        ))
    }

    async fn list_user_permissions(
        &self,
        request: Request<wire::ListUserPermissionsRequest>,
    ) -> Result<Response<wire::ListUserPermissionsResponse>, Status> {
        Ok(Response::new(list_of_user::handle(&self.0, request).await?))
    }

    async fn check_permissions(
        &self,
        request: Request<wire::CheckPermissionsRequest>,
    ) -> Result<Response<wire::CheckPermissionsResponse>, Status> {
        Ok(Response::new(check::handle(&self.0, request).await?))
    }
}
