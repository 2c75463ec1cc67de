//! Creates a permission.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{CreatePermissionRequest, CreatePermissionResponse};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, act, user_caller},
    convert,
    fields::failure,
};
use crate::domain::{
    id::PermissionId, identifier::RequestId, name::PermissionName, permission::NewPermission,
    text::Description,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<CreatePermissionRequest>,
) -> Result<CreatePermissionResponse, Failure> {
    let caller = user_caller(&request)?;
    let act = act(&request, "CreatePermission");
    let (new, request_id) = parse(context, request.get_ref())?;
    let question = CreatePermissionRequest {
        request_id: String::new(),
        ..request.into_inner()
    };
    let key = context.request_key(
        &caller,
        "CreatePermission",
        request_id,
        question.encode_to_vec(),
    );
    let done = context
        .store
        .insert_permission(act, new, key, context.now())
        .await?;
    Ok(CreatePermissionResponse {
        permission: Some(convert::permission(done.value)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    context: &Context,
    request: &CreatePermissionRequest,
) -> Result<(NewPermission, Option<RequestId>), Failure> {
    let mut fields = Violations::new();
    let name = fields.take("name", PermissionName::parse(&request.name));
    let description = fields.take("description", Description::parse(&request.description));
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    match (name, description, request_id) {
        (Some(name), Some(description), Some(request_id)) => {
            let id = PermissionId::new(context.new_id());
            Ok((
                NewPermission {
                    id,
                    name,
                    description,
                },
                request_id,
            ))
        }
        _ => Err(failure(fields)),
    }
}
