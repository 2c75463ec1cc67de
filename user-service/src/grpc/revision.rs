//! `RevisionService`: when a change counts.

use std::sync::Arc;

use identity_kit::feed::Watchers;
use identity_proto::user::v1::{self as wire, revision_service_server::RevisionService};
use tonic::{Request, Response, Status};

use super::Context;

mod wait;

/// Serves revisions.
pub struct Revisions {
    /// What every RPC stands on.
    pub context: Arc<Context>,
    /// Who decides by the feed.
    pub watchers: Watchers,
}

#[tonic::async_trait]
impl RevisionService for Revisions {
    async fn await_revision(
        &self,
        request: Request<wire::AwaitRevisionRequest>,
    ) -> Result<Response<wire::AwaitRevisionResponse>, Status> {
        Ok(Response::new(wait::handle(self, request).await?))
    }
}
