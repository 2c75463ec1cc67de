//! Reads one user.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{GetUserRequest, GetUserResponse, UserView};
use tonic::Request;

use super::super::{
    context::Context,
    convert,
    fields::{choice, failure},
};
use crate::domain::{id::UserId, refusal::Refusal};

pub(super) async fn handle(
    context: &Context,
    request: Request<GetUserRequest>,
) -> Result<GetUserResponse, Failure> {
    let (id, full, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context
        .store
        .find_full_user(&id, full, context.now())
        .await?;
    let found = found.ok_or_else(|| Refusal::UserNotFound(id.into_string()))?;
    Ok(GetUserResponse {
        user: Some(convert::user(found.user)),
        roles: convert::role_names(found.roles),
        permissions: convert::permission_names(found.permissions),
        features: found
            .plan
            .map(|plan| convert::features(&context.plans, &plan.name))
            .unwrap_or_default(),
        revision: context.revision(&found.position),
    })
}

fn parse(
    context: &Context,
    request: &GetUserRequest,
) -> Result<(UserId, bool, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_id", UserId::parse(&request.user_id));
    let full = choice(
        &mut fields,
        "view",
        request.view,
        |view: UserView| match view {
            UserView::Unspecified | UserView::Basic => false,
            UserView::Full => true,
        },
    );
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (id, full, min_revision) {
        (Some(id), Some(full), Some(min_revision)) => Ok((id, full, min_revision)),
        _ => Err(failure(fields)),
    }
}
