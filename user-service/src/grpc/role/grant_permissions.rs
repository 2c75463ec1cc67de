//! Adds permissions to a role.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{GrantRolePermissionsRequest, GrantRolePermissionsResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{failure, list},
};
use crate::domain::id::{PermissionId, RoleId};

pub(super) async fn handle(
    context: &Context,
    request: Request<GrantRolePermissionsRequest>,
) -> Result<GrantRolePermissionsResponse, Failure> {
    let act = act(&request, "GrantRolePermissions");
    let (role_id, permission_ids) = parse(request.get_ref())?;
    let done = context
        .store
        .grant_role_permissions(act, role_id, permission_ids, context.now())
        .await?;
    Ok(GrantRolePermissionsResponse {
        granted_count: convert::count(done.value)?,
        revision: context.revision(&done.position),
    })
}

fn parse(request: &GrantRolePermissionsRequest) -> Result<(RoleId, Vec<PermissionId>), Failure> {
    let mut fields = Violations::new();
    let role_id = fields.take("role_id", RoleId::parse(&request.role_id));
    let permission_ids = list(
        &mut fields,
        "permission_ids",
        &request.permission_ids,
        true,
        PermissionId::parse,
    );
    match (role_id, permission_ids) {
        (Some(role_id), Some(permission_ids)) => Ok((role_id, permission_ids)),
        _ => Err(failure(fields)),
    }
}
