//! `AuditService`: what was done, by whom, and what was refused.

use std::sync::Arc;

use identity_proto::user::v1::{self as wire, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

use super::Context;

mod list;
mod render;

/// Serves the audit log.
pub struct AuditEvents(pub Arc<Context>);

#[tonic::async_trait]
impl AuditService for AuditEvents {
    async fn list_audit_events(
        &self,
        request: Request<wire::ListAuditEventsRequest>,
    ) -> Result<Response<wire::ListAuditEventsResponse>, Status> {
        Ok(Response::new(list::handle(&self.0, request).await?))
    }
}
