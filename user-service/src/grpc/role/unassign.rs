//! Takes roles from a user.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{UnassignRolesRequest, UnassignRolesResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{failure, list},
};
use crate::domain::id::{RoleId, UserId};

pub(super) async fn handle(
    context: &Context,
    request: Request<UnassignRolesRequest>,
) -> Result<UnassignRolesResponse, Failure> {
    let act = act(&request, "UnassignRoles");
    let (user_id, role_ids) = parse(request.get_ref())?;
    let done = context
        .store
        .unassign_roles(act, user_id, role_ids, context.now())
        .await?;
    Ok(UnassignRolesResponse {
        unassigned_count: convert::count(done.value)?,
        revision: context.revision(&done.position),
    })
}

fn parse(request: &UnassignRolesRequest) -> Result<(UserId, Vec<RoleId>), Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let role_ids = list(
        &mut fields,
        "role_ids",
        &request.role_ids,
        true,
        RoleId::parse,
    );
    match (user_id, role_ids) {
        (Some(user_id), Some(role_ids)) => Ok((user_id, role_ids)),
        _ => Err(failure(fields)),
    }
}
