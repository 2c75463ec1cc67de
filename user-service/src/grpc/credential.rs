//! `CredentialService`: what auth-service asks.

use std::sync::Arc;

use identity_proto::user::v1::{self as wire, credential_service_server::CredentialService};
use tonic::{Request, Response, Status};

use super::Context;

mod claim_mails;
mod confirm_address;
mod create_federated;
mod get;
mod get_access;
mod set_hash;

/// Serves credentials and rights, on the internal listener alone.
pub struct Credentials(pub Arc<Context>);

#[tonic::async_trait]
impl CredentialService for Credentials {
    async fn get_credential(
        &self,
        request: Request<wire::GetCredentialRequest>,
    ) -> Result<Response<wire::GetCredentialResponse>, Status> {
        Ok(Response::new(get::handle(&self.0, request).await?))
    }

    async fn set_password_hash(
        &self,
        request: Request<wire::SetPasswordHashRequest>,
    ) -> Result<Response<wire::SetPasswordHashResponse>, Status> {
        Ok(Response::new(set_hash::handle(&self.0, request).await?))
    }

    async fn confirm_email_address(
        &self,
        request: Request<wire::ConfirmEmailAddressRequest>,
    ) -> Result<Response<wire::ConfirmEmailAddressResponse>, Status> {
        Ok(Response::new(
            confirm_address::handle(&self.0, request).await?,
        ))
    }

    async fn create_federated_user(
        &self,
        request: Request<wire::CreateFederatedUserRequest>,
    ) -> Result<Response<wire::CreateFederatedUserResponse>, Status> {
        Ok(Response::new(
            create_federated::handle(&self.0, request).await?,
        ))
    }

    async fn claim_pending_mails(
        &self,
        request: Request<wire::ClaimPendingMailsRequest>,
    ) -> Result<Response<wire::ClaimPendingMailsResponse>, Status> {
        Ok(Response::new(claim_mails::handle(&self.0, request).await?))
    }

    async fn get_access_snapshot(
        &self,
        request: Request<wire::GetAccessSnapshotRequest>,
    ) -> Result<Response<wire::GetAccessSnapshotResponse>, Status> {
        Ok(Response::new(get_access::handle(&self.0, request).await?))
    }
}
