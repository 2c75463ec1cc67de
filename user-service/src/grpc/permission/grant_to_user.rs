//! Gives permissions to a user directly.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{GrantUserPermissionsRequest, GrantUserPermissionsResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{failure, list},
};
use crate::domain::id::{PermissionId, UserId};

pub(super) async fn handle(
    context: &Context,
    request: Request<GrantUserPermissionsRequest>,
) -> Result<GrantUserPermissionsResponse, Failure> {
    let act = act(&request, "GrantUserPermissions")?;
    let (user_id, permission_ids) = parse(request.get_ref())?;
    let done = context
        .store
        .grant_user_permissions(act, user_id, permission_ids, context.now())
        .await?;
    Ok(GrantUserPermissionsResponse {
        granted_count: convert::count(done.value)?,
        revision: context.revision(&done.position),
    })
}

fn parse(request: &GrantUserPermissionsRequest) -> Result<(UserId, Vec<PermissionId>), Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let permission_ids = list(
        &mut fields,
        "permission_ids",
        &request.permission_ids,
        true,
        PermissionId::parse,
    );
    match (user_id, permission_ids) {
        (Some(user_id), Some(permission_ids)) => Ok((user_id, permission_ids)),
        _ => Err(failure(fields)),
    }
}
