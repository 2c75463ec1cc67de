//! `UserTypeService`: types of users.

use std::sync::Arc;

use identity_proto::user::v1::{self as wire, user_type_service_server::UserTypeService};
use tonic::{Request, Response, Status};

use super::Context;

mod create;
mod delete;
mod get;
mod list;
mod update;

/// Serves types of users.
pub struct UserTypes(pub Arc<Context>);

#[tonic::async_trait]
impl UserTypeService for UserTypes {
    async fn create_user_type(
        &self,
        request: Request<wire::CreateUserTypeRequest>,
    ) -> Result<Response<wire::CreateUserTypeResponse>, Status> {
        Ok(Response::new(create::handle(&self.0, request).await?))
    }

    async fn get_user_type(
        &self,
        request: Request<wire::GetUserTypeRequest>,
    ) -> Result<Response<wire::GetUserTypeResponse>, Status> {
        Ok(Response::new(get::handle(&self.0, request).await?))
    }

    async fn list_user_types(
        &self,
        request: Request<wire::ListUserTypesRequest>,
    ) -> Result<Response<wire::ListUserTypesResponse>, Status> {
        Ok(Response::new(list::handle(&self.0, request).await?))
    }

    async fn update_user_type(
        &self,
        request: Request<wire::UpdateUserTypeRequest>,
    ) -> Result<Response<wire::UpdateUserTypeResponse>, Status> {
        Ok(Response::new(update::handle(&self.0, request).await?))
    }

    async fn delete_user_type(
        &self,
        request: Request<wire::DeleteUserTypeRequest>,
    ) -> Result<Response<wire::DeleteUserTypeResponse>, Status> {
        Ok(Response::new(delete::handle(&self.0, request).await?))
    }
}
