//! Deletes a role.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{DeleteRoleRequest, DeleteRoleResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    fields::failure,
};
use crate::domain::{etag::Etag, id::RoleId};

pub(super) async fn handle(
    context: &Context,
    request: Request<DeleteRoleRequest>,
) -> Result<DeleteRoleResponse, Failure> {
    let act = act(&request, "DeleteRole");
    let (id, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .delete_role(act, id, etag, context.now())
        .await?;
    Ok(DeleteRoleResponse {
        revision: context.revision(&done.position),
    })
}

fn parse(request: &DeleteRoleRequest) -> Result<(RoleId, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("role_id", RoleId::parse(&request.role_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    match (id, etag) {
        (Some(id), Some(etag)) => Ok((id, etag)),
        _ => Err(failure(fields)),
    }
}
