//! Lets a user use the system again.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{ActivateUserRequest, ActivateUserResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::failure,
};
use crate::domain::{etag::Etag, id::UserId, text::Reason, user::UserStatus};

pub(super) async fn handle(
    context: &Context,
    request: Request<ActivateUserRequest>,
) -> Result<ActivateUserResponse, Failure> {
    let act = act(&request, "ActivateUser");
    let (id, reason, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .set_user_status(act, id, UserStatus::Active, reason, etag, context.now())
        .await?;
    Ok(ActivateUserResponse {
        user: Some(convert::user(done.value)),
        revision: context.revision(&done.position),
    })
}

fn parse(request: &ActivateUserRequest) -> Result<(UserId, Reason, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_id", UserId::parse(&request.user_id));
    let reason = fields.take("reason", Reason::parse(&request.reason));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    match (id, reason, etag) {
        (Some(id), Some(reason), Some(etag)) => Ok((id, reason, etag)),
        _ => Err(failure(fields)),
    }
}
