//! Changes the description of a permission; a name never changes.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{
    PermissionUpdate, UpdatePermissionRequest, UpdatePermissionResponse,
};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{Mask, failure},
};
use crate::domain::{etag::Etag, id::PermissionId, text::Description};

/// What can be changed.
const PATHS: [&str; 1] = ["description"];

pub(super) async fn handle(
    context: &Context,
    request: Request<UpdatePermissionRequest>,
) -> Result<UpdatePermissionResponse, Failure> {
    let act = act(&request, "UpdatePermission");
    let (id, description, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .update_permission(act, id, description, etag, context.now())
        .await?;
    Ok(UpdatePermissionResponse {
        permission: Some(convert::permission(done.value)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    request: &UpdatePermissionRequest,
) -> Result<(PermissionId, Option<Description>, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("permission_id", PermissionId::parse(&request.permission_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    let absent = PermissionUpdate::default();
    let update = request.permission.as_ref().unwrap_or_else(|| {
        fields.add("permission", "must be set");
        &absent
    });
    let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &PATHS);
    let description = mask.text(
        &mut fields,
        ("permission", "description"),
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
