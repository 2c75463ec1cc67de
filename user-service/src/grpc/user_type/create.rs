//! Creates a type of users.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{CreateUserTypeRequest, CreateUserTypeResponse};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, act, user_caller},
    convert,
    fields::failure,
};
use crate::domain::{
    id::UserTypeId, identifier::RequestId, name::TypeName, text::Description,
    user_type::NewUserType,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<CreateUserTypeRequest>,
) -> Result<CreateUserTypeResponse, Failure> {
    let caller = user_caller(&request)?;
    let act = act(&request, "CreateUserType");
    let (new, request_id) = parse(context, request.get_ref())?;
    let question = CreateUserTypeRequest {
        request_id: String::new(),
        ..request.into_inner()
    };
    let key = context.request_key(
        &caller,
        "CreateUserType",
        request_id,
        question.encode_to_vec(),
    );
    let done = context
        .store
        .insert_user_type(act, new, key, context.now())
        .await?;
    Ok(CreateUserTypeResponse {
        user_type: Some(convert::user_type(done.value)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    context: &Context,
    request: &CreateUserTypeRequest,
) -> Result<(NewUserType, Option<RequestId>), Failure> {
    let mut fields = Violations::new();
    let name = fields.take("name", TypeName::parse(&request.name));
    let description = fields.take("description", Description::parse(&request.description));
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    match (name, description, request_id) {
        (Some(name), Some(description), Some(request_id)) => {
            let id = UserTypeId::new(context.new_id());
            Ok((
                NewUserType {
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
