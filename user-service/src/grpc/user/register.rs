//! Begins an account for oneself, where an operator allows that, and keeps it until its address is proven. It has no
//! password before.

use identity_kit::{
    context::peer_network,
    status::{ErrorReason, Failure},
    violations::Violations,
};
use identity_proto::user::v1::{RegisterUserRequest, RegisterUserResponse};
use tonic::Request;

use super::super::{
    context::{Context, act, place},
    fields::failure,
};
use crate::domain::{
    email::Email, id::UserId, text::PersonName, user::NewUser, username::Username,
};

/// Accounts that may be begun from one network in an hour.
const OF_NETWORK: i64 = 20;
/// Accounts that may be begun from all networks together in an hour.
const OF_ALL: i64 = 1_000;

pub(super) async fn handle(
    context: &Context,
    request: Request<RegisterUserRequest>,
) -> Result<RegisterUserResponse, Failure> {
    let network = peer_network(&request);
    let act = act(&request, "RegisterUser");
    let new = parse(context, request.get_ref())?;
    if !context.self_registration {
        let text = "nobody can register here on their own";
        return Err(
            Failure::new(ErrorReason::SelfRegistrationOff, text).with_precondition(
                "SELF_REGISTRATION_OFF",
                "",
                text,
            ),
        );
    }
    context.spare_reserved(&new.username)?;
    let askers = vec![
        context.askers.asker("register", &network, OF_NETWORK),
        context.askers.asker("register", "", OF_ALL),
    ];
    // Everybody writes the same row of the budget: who waits for it must not hold a connection meanwhile.
    let _place = place(&context.registering).await?;
    context.store.spend(askers, context.now()).await?;
    let expires_at = context
        .store
        .insert_registration(act, context.new_id(), new, context.now())
        .await?;
    Ok(RegisterUserResponse {
        expire_time: Some(expires_at.into()),
    })
}

fn parse(context: &Context, request: &RegisterUserRequest) -> Result<NewUser, Failure> {
    let mut fields = Violations::new();
    let username = fields.take("username", Username::parse(&request.username));
    let email = fields.take("email", Email::parse(&request.email));
    let first_name = fields.take("first_name", PersonName::parse(&request.first_name));
    let last_name = fields.take("last_name", PersonName::parse(&request.last_name));
    match (username, email, first_name, last_name) {
        (Some(username), Some(email), Some(first_name), Some(last_name)) => Ok(NewUser {
            id: UserId::new(context.new_id()),
            username,
            email,
            first_name,
            last_name,
            phone: None,
            address: None,
            user_type_id: None,
        }),
        _ => Err(failure(fields)),
    }
}
