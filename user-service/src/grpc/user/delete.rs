//! Deletes a user for good.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{DeleteUserRequest, DeleteUserResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    fields::failure,
};
use crate::domain::{etag::Etag, id::UserId};

pub(super) async fn handle(
    context: &Context,
    request: Request<DeleteUserRequest>,
) -> Result<DeleteUserResponse, Failure> {
    let act = act(&request, "DeleteUser");
    let (id, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .delete_user(act, id, etag, context.now())
        .await?;
    Ok(DeleteUserResponse {
        revision: context.revision(&done.position),
    })
}

fn parse(request: &DeleteUserRequest) -> Result<(UserId, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_id", UserId::parse(&request.user_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    match (id, etag) {
        (Some(id), Some(etag)) => Ok((id, etag)),
        _ => Err(failure(fields)),
    }
}
