//! `UserService`: people.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use identity_proto::user::v1::{self as wire, user_service_server::UserService};
use tonic::{Request, Response, Status, Streaming};

use super::Context;

mod activate;
mod batch_get;
mod confirm_email;
mod create;
mod deactivate;
mod delete;
mod export;
mod export_all;
mod get;
mod import;
mod list;
mod register;
mod request_email_change;
mod suspend;
mod update;

/// What a stream is answered with.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves profiles and statuses.
pub struct Users(pub Arc<Context>);

#[tonic::async_trait]
impl UserService for Users {
    type ImportUsersStream = Answers<wire::ImportUsersResponse>;
    type ExportUsersStream = Answers<wire::ExportUsersResponse>;

    async fn create_user(
        &self,
        request: Request<wire::CreateUserRequest>,
    ) -> Result<Response<wire::CreateUserResponse>, Status> {
        Ok(Response::new(create::handle(&self.0, request).await?))
    }

    async fn register_user(
        &self,
        request: Request<wire::RegisterUserRequest>,
    ) -> Result<Response<wire::RegisterUserResponse>, Status> {
        Ok(Response::new(register::handle(&self.0, request).await?))
    }

    async fn request_email_change(
        &self,
        request: Request<wire::RequestEmailChangeRequest>,
    ) -> Result<Response<wire::RequestEmailChangeResponse>, Status> {
        Ok(Response::new(
            request_email_change::handle(&self.0, request).await?,
        ))
    }

    async fn confirm_email(
        &self,
        request: Request<wire::ConfirmEmailRequest>,
    ) -> Result<Response<wire::ConfirmEmailResponse>, Status> {
        Ok(Response::new(
            confirm_email::handle(&self.0, request).await?,
        ))
    }

    async fn get_user(
        &self,
        request: Request<wire::GetUserRequest>,
    ) -> Result<Response<wire::GetUserResponse>, Status> {
        Ok(Response::new(get::handle(&self.0, request).await?))
    }

    async fn batch_get_users(
        &self,
        request: Request<wire::BatchGetUsersRequest>,
    ) -> Result<Response<wire::BatchGetUsersResponse>, Status> {
        Ok(Response::new(batch_get::handle(&self.0, request).await?))
    }

    async fn list_users(
        &self,
        request: Request<wire::ListUsersRequest>,
    ) -> Result<Response<wire::ListUsersResponse>, Status> {
        Ok(Response::new(list::handle(&self.0, request).await?))
    }

    async fn update_user(
        &self,
        request: Request<wire::UpdateUserRequest>,
    ) -> Result<Response<wire::UpdateUserResponse>, Status> {
        Ok(Response::new(update::handle(&self.0, request).await?))
    }

    async fn delete_user(
        &self,
        request: Request<wire::DeleteUserRequest>,
    ) -> Result<Response<wire::DeleteUserResponse>, Status> {
        Ok(Response::new(delete::handle(&self.0, request).await?))
    }

    async fn activate_user(
        &self,
        request: Request<wire::ActivateUserRequest>,
    ) -> Result<Response<wire::ActivateUserResponse>, Status> {
        Ok(Response::new(activate::handle(&self.0, request).await?))
    }

    async fn deactivate_user(
        &self,
        request: Request<wire::DeactivateUserRequest>,
    ) -> Result<Response<wire::DeactivateUserResponse>, Status> {
        Ok(Response::new(deactivate::handle(&self.0, request).await?))
    }

    async fn suspend_user(
        &self,
        request: Request<wire::SuspendUserRequest>,
    ) -> Result<Response<wire::SuspendUserResponse>, Status> {
        Ok(Response::new(suspend::handle(&self.0, request).await?))
    }

    async fn import_users(
        &self,
        request: Request<Streaming<wire::ImportUsersRequest>>,
    ) -> Result<Response<Self::ImportUsersStream>, Status> {
        Ok(Response::new(import::handle(&self.0, request)?))
    }

    async fn export_users(
        &self,
        request: Request<wire::ExportUsersRequest>,
    ) -> Result<Response<Self::ExportUsersStream>, Status> {
        Ok(Response::new(export_all::handle(&self.0, request).await?))
    }

    async fn export_user(
        &self,
        request: Request<wire::ExportUserRequest>,
    ) -> Result<Response<wire::ExportUserResponse>, Status> {
        Ok(Response::new(export::handle(&self.0, request).await?))
    }
}
