//! Gives permissions to a user directly.

use identity_kit::{clock::Timestamp, status::Failure, violations::Violations};
use identity_proto::user::v1::{GrantUserPermissionsRequest, GrantUserPermissionsResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{end, failure, list},
};
use crate::domain::id::{PermissionId, UserId};

pub(super) async fn handle(
    context: &Context,
    request: Request<GrantUserPermissionsRequest>,
) -> Result<GrantUserPermissionsResponse, Failure> {
    let act = act(&request, "GrantUserPermissions");
    let now = context.now();
    let (user_id, permission_ids, ends_at) = parse(request.get_ref(), now)?;
    let done = context
        .store
        .grant_user_permissions(act, user_id, permission_ids, ends_at, now)
        .await?;
    Ok(GrantUserPermissionsResponse {
        granted_count: convert::count(done.value.new)?,
        changed_count: convert::count(done.value.changed)?,
        revision: context.revision(&done.position),
    })
}

type Gift = (UserId, Vec<PermissionId>, Option<Timestamp>);

fn parse(request: &GrantUserPermissionsRequest, now: Timestamp) -> Result<Gift, Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let permission_ids = list(
        &mut fields,
        "permission_ids",
        &request.permission_ids,
        true,
        PermissionId::parse,
    );
    let ends_at = end(&mut fields, "expire_time", request.expire_time, now);
    match (user_id, permission_ids, ends_at) {
        (Some(user_id), Some(permission_ids), Some(ends_at)) => {
            Ok((user_id, permission_ids, ends_at))
        }
        _ => Err(failure(fields)),
    }
}
