//! Deletes a type of users.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{DeleteUserTypeRequest, DeleteUserTypeResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    fields::failure,
};
use crate::domain::{etag::Etag, id::UserTypeId};

pub(super) async fn handle(
    context: &Context,
    request: Request<DeleteUserTypeRequest>,
) -> Result<DeleteUserTypeResponse, Failure> {
    let act = act(&request, "DeleteUserType");
    let (id, etag) = parse(request.get_ref())?;
    let done = context.store.delete_user_type(act, id, etag).await?;
    Ok(DeleteUserTypeResponse {
        revision: context.revision(&done.position),
    })
}

fn parse(request: &DeleteUserTypeRequest) -> Result<(UserTypeId, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_type_id", UserTypeId::parse(&request.user_type_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    match (id, etag) {
        (Some(id), Some(etag)) => Ok((id, etag)),
        _ => Err(failure(fields)),
    }
}
