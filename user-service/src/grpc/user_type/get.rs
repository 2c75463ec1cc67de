//! Reads one user type.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{GetUserTypeRequest, GetUserTypeResponse};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::domain::{id::UserTypeId, refusal::Refusal};

pub(super) async fn handle(
    context: &Context,
    request: Request<GetUserTypeRequest>,
) -> Result<GetUserTypeResponse, Failure> {
    let (id, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context.store.find_user_type(&id).await?;
    let user_type = found.ok_or(Refusal::UserTypeNotFound(id))?;
    Ok(GetUserTypeResponse {
        user_type: Some(convert::user_type(user_type)),
    })
}

fn parse(
    context: &Context,
    request: &GetUserTypeRequest,
) -> Result<(UserTypeId, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_type_id", UserTypeId::parse(&request.user_type_id));
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (id, min_revision) {
        (Some(id), Some(min_revision)) => Ok((id, min_revision)),
        _ => Err(failure(fields)),
    }
}
