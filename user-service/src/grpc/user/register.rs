//! Begins an account for oneself, where an operator allows that, and keeps it until its address is proven.

use identity_kit::{
    context::peer_network,
    deadline,
    password::NewPassword,
    status::{ErrorReason, Failure},
    violations::Violations,
};
use identity_proto::user::v1::{RegisterUserRequest, RegisterUserResponse};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Request;

use super::super::{
    context::{Context, act},
    fields::failure,
};
use crate::domain::{
    credential::{PasswordHash, forbidden_passwords},
    email::Email,
    email_proof::Registration,
    id::UserId,
    text::PersonName,
    user::NewUser,
    username::Username,
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
    let (new, password) = parse(context, request.get_ref())?;
    let Some(places) = &context.registering else {
        let text = "nobody can register here on their own";
        return Err(
            Failure::new(ErrorReason::SelfRegistrationOff, text).with_precondition(
                "SELF_REGISTRATION_OFF",
                "",
                text,
            ),
        );
    };
    context.spare_reserved(&new.username)?;
    let _place = place(places)?;
    let askers = vec![
        context.askers.asker("register", &network, OF_NETWORK),
        context.askers.asker("register", "", OF_ALL),
    ];
    context.store.spend(askers, context.now()).await?;
    let hash = context.hasher.hash(&password, deadline::current()).await?;
    let registration = Registration {
        user: new,
        hash: PasswordHash::stored(hash),
    };
    let expires_at = context
        .store
        .insert_registration(act, context.new_id(), registration, context.now())
        .await?;
    Ok(RegisterUserResponse {
        expire_time: Some(expires_at.into()),
    })
}

/// Strangers hash few passwords at once, so that everybody else's are not behind theirs.
fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);
    places.try_acquire().map_err(|_| {
        Failure::new(
            ErrorReason::Overloaded,
            "too many accounts are being begun at once",
        )
        .with_retry_after(RETRY_AFTER)
    })
}

fn parse(
    context: &Context,
    request: &RegisterUserRequest,
) -> Result<(NewUser, NewPassword), Failure> {
    let mut fields = Violations::new();
    let username = fields.take("username", Username::parse(&request.username));
    let email = fields.take("email", Email::parse(&request.email));
    let first_name = fields.take("first_name", PersonName::parse(&request.first_name));
    let last_name = fields.take("last_name", PersonName::parse(&request.last_name));
    let forbidden = forbidden_passwords(
        &request.username,
        &request.email,
        &request.first_name,
        &request.last_name,
    );
    let password = fields.take(
        "password",
        NewPassword::parse(&request.password, &forbidden),
    );
    match (username, email, first_name, last_name, password) {
        (Some(username), Some(email), Some(first_name), Some(last_name), Some(password)) => Ok((
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
            password,
        )),
        _ => Err(failure(fields)),
    }
}
