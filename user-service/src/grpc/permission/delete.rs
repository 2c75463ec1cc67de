//! Deletes a permission.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{DeletePermissionRequest, DeletePermissionResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    fields::failure,
};
use crate::domain::{etag::Etag, id::PermissionId};

pub(super) async fn handle(
    context: &Context,
    request: Request<DeletePermissionRequest>,
) -> Result<DeletePermissionResponse, Failure> {
    let act = act(&request, "DeletePermission");
    let (id, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .delete_permission(act, id, etag, context.now())
        .await?;
    Ok(DeletePermissionResponse {
        revision: context.revision(&done.position),
    })
}

fn parse(request: &DeletePermissionRequest) -> Result<(PermissionId, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("permission_id", PermissionId::parse(&request.permission_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    match (id, etag) {
        (Some(id), Some(etag)) => Ok((id, etag)),
        _ => Err(failure(fields)),
    }
}
