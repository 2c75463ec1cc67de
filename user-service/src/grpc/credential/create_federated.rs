//! Creates a user for an identity of another provider; an address that somebody has is never linked.

use identity_guard::caller::{Caller, caller};
use identity_kit::{secret::join, status::Failure, violations::Violations};
use identity_proto::user::v1::{CreateFederatedUserRequest, CreateFederatedUserResponse};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::failure,
};
use crate::{
    domain::{
        email::Email,
        id::UserId,
        identifier::{OperationId, RequestId},
        problem::Problem,
        text::PersonName,
        user::NewUser,
        username::Username,
    },
    store::RequestKey,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<CreateFederatedUserRequest>,
) -> Result<CreateFederatedUserResponse, Failure> {
    let Caller::Service(service) = caller(&request) else {
        return Err(Failure::internal());
    };
    let act = act(&request, "CreateFederatedUser");
    // No user has an id with a blank.
    let caller = UserId::new(format!("service {}", service.name));
    let (new, request_id) = parse(context, request.get_ref())?;
    context.spare_reserved(&new.username)?;
    let question = CreateFederatedUserRequest {
        operation_id: String::new(),
        ..request.into_inner()
    };
    let key = RequestKey {
        log: context.requests.clone(),
        caller,
        method: "CreateFederatedUser",
        request_id,
        question: join(&[&question.encode_to_vec()]),
    };
    let done = context
        .store
        .insert_federated_user(act, new, key, context.now())
        .await?;
    Ok(CreateFederatedUserResponse {
        user_id: done.value.id.into_string(),
        position: Some(convert::position(done.position)),
    })
}

fn parse(
    context: &Context,
    request: &CreateFederatedUserRequest,
) -> Result<(NewUser, RequestId), Failure> {
    let mut fields = Violations::new();
    let operation = OperationId::parse(&request.operation_id)
        .and_then(|id| RequestId::parse(id.as_str())?.ok_or(Problem::Empty));
    let operation = fields.take("operation_id", operation);
    let username = fields.take("username", Username::parse(&request.username));
    let email = fields.take("email", Email::parse(&request.email));
    let first_name = fields.take("first_name", PersonName::parse(&request.first_name));
    let last_name = fields.take("last_name", PersonName::parse(&request.last_name));
    match (operation, username, email, first_name, last_name) {
        (Some(operation), Some(username), Some(email), Some(first_name), Some(last_name)) => Ok((
            NewUser {
                id: UserId::new(context.new_id()),
                username,
                email,
                first_name,
                last_name,
                phone: None,
                address: None,
                user_type_id: None,
            },
            operation,
        )),
        _ => Err(failure(fields)),
    }
}
