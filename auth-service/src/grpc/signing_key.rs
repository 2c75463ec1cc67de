//! identity.auth.v1.SigningKeyService.

mod list_signing_keys;

use std::sync::Arc;

use identity_proto::auth::v1::{
    ListSigningKeysRequest, ListSigningKeysResponse, signing_key_service_server::SigningKeyService,
};
use tonic::{Request, Response, Status};

use crate::authority::Authority;

/// The keys that sign access tokens.
#[derive(Clone)]
pub struct SigningKeyGrpc(Arc<Authority>);

impl SigningKeyGrpc {
    /// On the shared parts.
    #[must_use]
    pub fn new(authority: Arc<Authority>) -> Self {
        Self(authority)
    }
}

#[tonic::async_trait]
impl SigningKeyService for SigningKeyGrpc {
    async fn list_signing_keys(
        &self,
        request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        let answer = list_signing_keys::list_signing_keys(&self.0, request.get_ref()).await?;
        Ok(Response::new(answer))
    }
}
