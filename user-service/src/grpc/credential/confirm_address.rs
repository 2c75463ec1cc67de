//! Says that a user has proven the own address.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{ConfirmEmailAddressRequest, ConfirmEmailAddressResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::failure,
};
use crate::domain::{email::Email, id::UserId};

pub(super) async fn handle(
    context: &Context,
    request: Request<ConfirmEmailAddressRequest>,
) -> Result<ConfirmEmailAddressResponse, Failure> {
    let act = act(&request, "ConfirmEmailAddress");
    let (id, email) = parse(request.get_ref())?;
    let done = context
        .store
        .confirm_address(act, id, email, context.now())
        .await?;
    Ok(ConfirmEmailAddressResponse {
        position: Some(convert::position(done.position)),
    })
}

fn parse(request: &ConfirmEmailAddressRequest) -> Result<(UserId, Email), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_id", UserId::parse(&request.user_id));
    let email = fields.take("email", Email::parse(&request.email));
    id.zip(email).ok_or_else(|| failure(fields))
}
