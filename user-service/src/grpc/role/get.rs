//! Reads one role with its permissions.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{GetRoleRequest, GetRoleResponse};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::domain::{id::RoleId, refusal::Refusal};

pub(super) async fn handle(
    context: &Context,
    request: Request<GetRoleRequest>,
) -> Result<GetRoleResponse, Failure> {
    let (id, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context.store.find_role(&id).await?;
    let role = found.ok_or(Refusal::RoleNotFound(id))?;
    let permissions = context.store.list_role_permission_names(&role).await?;
    Ok(GetRoleResponse {
        role: Some(convert::role(role)),
        permissions: convert::permission_names(permissions),
    })
}

fn parse(
    context: &Context,
    request: &GetRoleRequest,
) -> Result<(RoleId, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("role_id", RoleId::parse(&request.role_id));
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (id, min_revision) {
        (Some(id), Some(min_revision)) => Ok((id, min_revision)),
        _ => Err(failure(fields)),
    }
}
