//! Takes direct permissions from a user.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{RevokeUserPermissionsRequest, RevokeUserPermissionsResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{failure, list},
};
use crate::domain::id::{PermissionId, UserId};

pub(super) async fn handle(
    context: &Context,
    request: Request<RevokeUserPermissionsRequest>,
) -> Result<RevokeUserPermissionsResponse, Failure> {
    let act = act(&request, "RevokeUserPermissions");
    let (user_id, permission_ids) = parse(request.get_ref())?;
    let done = context
        .store
        .revoke_user_permissions(act, user_id, permission_ids, context.now())
        .await?;
    Ok(RevokeUserPermissionsResponse {
        revoked_count: convert::count(done.value)?,
        revision: context.revision(&done.position),
    })
}

fn parse(request: &RevokeUserPermissionsRequest) -> Result<(UserId, Vec<PermissionId>), Failure> {
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
