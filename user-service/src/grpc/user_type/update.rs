//! Changes parts of a type of users.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{UpdateUserTypeRequest, UpdateUserTypeResponse, UserTypeUpdate};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{Mask, failure},
};
use crate::domain::{
    etag::Etag, id::UserTypeId, name::TypeName, text::Description, user_type::UserTypeChange,
};

/// What can be changed.
const PATHS: [&str; 2] = ["name", "description"];

pub(super) async fn handle(
    context: &Context,
    request: Request<UpdateUserTypeRequest>,
) -> Result<UpdateUserTypeResponse, Failure> {
    let act = act(&request, "UpdateUserType");
    let (id, change, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .update_user_type(act, id, change, etag, context.now())
        .await?;
    Ok(UpdateUserTypeResponse {
        user_type: Some(convert::user_type(done.value)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    request: &UpdateUserTypeRequest,
) -> Result<(UserTypeId, UserTypeChange, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_type_id", UserTypeId::parse(&request.user_type_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    let absent = UserTypeUpdate::default();
    let update = request.user_type.as_ref().unwrap_or_else(|| {
        fields.add("user_type", "must be set");
        &absent
    });
    let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &PATHS);
    let name = mask.text(
        &mut fields,
        ("user_type", "name"),
        update.name.as_ref(),
        TypeName::parse,
    );
    let description = mask.text(
        &mut fields,
        ("user_type", "description"),
        update.description.as_ref(),
        Description::parse,
    );
    match (id, etag, name, description) {
        (Some(id), Some(etag), Some(name), Some(description)) if fields.is_empty() => {
            Ok((id, UserTypeChange { name, description }, etag))
        }
        _ => Err(failure(fields)),
    }
}
