//! Creates a role.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{CreateRoleRequest, CreateRoleResponse};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, act, user_caller},
    convert,
    fields::failure,
};
use crate::domain::{
    id::RoleId, identifier::RequestId, name::RoleName, role::NewRole, text::Description,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<CreateRoleRequest>,
) -> Result<CreateRoleResponse, Failure> {
    let caller = user_caller(&request)?;
    let act = act(&request, "CreateRole");
    let (new, request_id) = parse(context, request.get_ref())?;
    let question = CreateRoleRequest {
        request_id: String::new(),
        ..request.into_inner()
    };
    let key = context.request_key(&caller, "CreateRole", request_id, question.encode_to_vec());
    let done = context
        .store
        .insert_role(act, new, key, context.now())
        .await?;
    Ok(CreateRoleResponse {
        role: Some(convert::role(done.value)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    context: &Context,
    request: &CreateRoleRequest,
) -> Result<(NewRole, Option<RequestId>), Failure> {
    let mut fields = Violations::new();
    let name = fields.take("name", RoleName::parse(&request.name));
    let description = fields.take("description", Description::parse(&request.description));
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    match (name, description, request_id) {
        (Some(name), Some(description), Some(request_id)) => {
            let id = RoleId::new(context.new_id());
            Ok((
                NewRole {
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
