//! Reads one permission.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{GetPermissionRequest, GetPermissionResponse};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::domain::{id::PermissionId, refusal::Refusal};

pub(super) async fn handle(
    context: &Context,
    request: Request<GetPermissionRequest>,
) -> Result<GetPermissionResponse, Failure> {
    let (id, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context.store.find_permission(&id).await?;
    let permission = found.ok_or(Refusal::PermissionNotFound(id))?;
    Ok(GetPermissionResponse {
        permission: Some(convert::permission(permission)),
    })
}

fn parse(
    context: &Context,
    request: &GetPermissionRequest,
) -> Result<(PermissionId, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("permission_id", PermissionId::parse(&request.permission_id));
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (id, min_revision) {
        (Some(id), Some(min_revision)) => Ok((id, min_revision)),
        _ => Err(failure(fields)),
    }
}
