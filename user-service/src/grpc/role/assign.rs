//! Gives roles to a user.

use identity_kit::{clock::Timestamp, status::Failure, violations::Violations};
use identity_proto::user::v1::{AssignRolesRequest, AssignRolesResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{end, failure, list},
};
use crate::domain::id::{RoleId, UserId};

pub(super) async fn handle(
    context: &Context,
    request: Request<AssignRolesRequest>,
) -> Result<AssignRolesResponse, Failure> {
    let act = act(&request, "AssignRoles");
    let now = context.now();
    let (user_id, role_ids, ends_at) = parse(request.get_ref(), now)?;
    let done = context
        .store
        .assign_roles(act, user_id, role_ids, ends_at, now)
        .await?;
    Ok(AssignRolesResponse {
        assigned_count: convert::count(done.value.new)?,
        changed_count: convert::count(done.value.changed)?,
        revision: context.revision(&done.position),
    })
}

type Gift = (UserId, Vec<RoleId>, Option<Timestamp>);

fn parse(request: &AssignRolesRequest, now: Timestamp) -> Result<Gift, Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let role_ids = list(
        &mut fields,
        "role_ids",
        &request.role_ids,
        true,
        RoleId::parse,
    );
    let ends_at = end(&mut fields, "expire_time", request.expire_time, now);
    match (user_id, role_ids, ends_at) {
        (Some(user_id), Some(role_ids), Some(ends_at)) => Ok((user_id, role_ids, ends_at)),
        _ => Err(failure(fields)),
    }
}
