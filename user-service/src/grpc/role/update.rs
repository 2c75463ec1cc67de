//! Changes the description of a role; a name never changes.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{RoleUpdate, UpdateRoleRequest, UpdateRoleResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{Mask, failure},
};
use crate::domain::{etag::Etag, id::RoleId, text::Description};

/// What can be changed.
const PATHS: [&str; 1] = ["description"];

pub(super) async fn handle(
    context: &Context,
    request: Request<UpdateRoleRequest>,
) -> Result<UpdateRoleResponse, Failure> {
    let act = act(&request, "UpdateRole");
    let (id, description, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .update_role(act, id, description, etag, context.now())
        .await?;
    Ok(UpdateRoleResponse {
        role: Some(convert::role(done.value)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    request: &UpdateRoleRequest,
) -> Result<(RoleId, Option<Description>, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("role_id", RoleId::parse(&request.role_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    let absent = RoleUpdate::default();
    let update = request.role.as_ref().unwrap_or_else(|| {
        fields.add("role", "must be set");
        &absent
    });
    let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &PATHS);
    let description = mask.text(
        &mut fields,
        ("role", "description"),
        update.description.as_ref(),
        Description::parse,
    );
    match (id, etag, description) {
        (Some(id), Some(etag), Some(description)) if fields.is_empty() => {
            Ok((id, description, etag))
        }
        _ => Err(failure(fields)),
    }
}
