//! Creates a user; a password given here is hashed on the threads for that and must be changed at the first login.

use identity_kit::{deadline, password::NewPassword, status::Failure, violations::Violations};
use identity_proto::user::v1::{CreateUserRequest, CreateUserResponse};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, act, user_caller},
    convert,
    fields::{self, failure, optional},
};
use crate::domain::{
    credential::{PasswordHash, forbidden_passwords},
    email::Email,
    id::{UserId, UserTypeId},
    identifier::RequestId,
    phone::Phone,
    text::PersonName,
    user::NewUser,
    username::Username,
};

struct Command {
    new: NewUser,
    password: Option<NewPassword>,
    request_id: Option<RequestId>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<CreateUserRequest>,
) -> Result<CreateUserResponse, Failure> {
    let caller = user_caller(&request)?;
    let act = act(&request, "CreateUser");
    let command = parse(context, request.get_ref())?;
    context.spare_reserved(&command.new.username)?;
    let key = context.request_key(
        &caller,
        "CreateUser",
        command.request_id,
        question(request.into_inner()),
    );
    let password = match &command.password {
        Some(password) => {
            let hash = context.hasher.hash(password, deadline::current()).await?;
            Some((PasswordHash::stored(hash), true))
        }
        None => None,
    };
    let done = context
        .store
        .insert_user(act, command.new, password, key, context.now())
        .await?;
    Ok(CreateUserResponse {
        user: Some(convert::user(done.value)),
        revision: context.revision(&done.position),
    })
}

/// What tells this request from another one under the same id: everything but the password, of which only counts
/// whether there is one, so that nothing kept can be used to guess it.
fn question(mut request: CreateUserRequest) -> Vec<u8> {
    let with_password = !request.password.is_empty();
    request.password.clear();
    request.request_id.clear();
    let mut question = request.encode_to_vec();
    question.push(u8::from(with_password));
    question
}

fn parse(context: &Context, request: &CreateUserRequest) -> Result<Command, Failure> {
    let mut fields = Violations::new();
    let username = fields.take("username", Username::parse(&request.username));
    let email = fields.take("email", Email::parse(&request.email));
    let first_name = fields.take("first_name", PersonName::parse(&request.first_name));
    let last_name = fields.take("last_name", PersonName::parse(&request.last_name));
    let phone = fields.take("phone", Phone::parse(&request.phone));
    let address = request.address.clone().map(convert::address_parts);
    let address = fields::address(&mut fields, "address", address);
    let user_type_id = optional(
        &mut fields,
        "user_type_id",
        &request.user_type_id,
        UserTypeId::parse,
    );
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    let password = password(&mut fields, request);
    match (
        username,
        email,
        first_name,
        last_name,
        phone,
        address,
        user_type_id,
        request_id,
        password,
    ) {
        (
            Some(username),
            Some(email),
            Some(first_name),
            Some(last_name),
            Some(phone),
            Some(address),
            Some(user_type_id),
            Some(request_id),
            Some(password),
        ) => Ok(Command {
            new: NewUser {
                id: UserId::new(context.new_id()),
                username,
                email,
                first_name,
                last_name,
                phone,
                address,
                user_type_id,
            },
            password,
            request_id,
        }),
        _ => Err(failure(fields)),
    }
}

/// The outer `None` means that it is malformed.
#[expect(clippy::option_option, reason = "malformed and absent are two things")]
fn password(fields: &mut Violations, request: &CreateUserRequest) -> Option<Option<NewPassword>> {
    if request.password.is_empty() {
        return Some(None);
    }
    let forbidden = forbidden_passwords(
        &request.username,
        &request.email,
        &request.first_name,
        &request.last_name,
    );
    fields
        .take(
            "password",
            NewPassword::parse(&request.password, &forbidden),
        )
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_does_not_count_and_its_presence_does() {
        let request = |password: &str| CreateUserRequest {
            username: "ada".into(),
            password: password.into(),
            request_id: "1".into(),
            ..CreateUserRequest::default()
        };
        assert_eq!(question(request("one")), question(request("two")));
        assert_ne!(question(request("one")), question(request("")));
    }
}
