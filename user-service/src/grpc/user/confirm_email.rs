//! Proves an address by the token that was mailed to it.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{ConfirmEmailRequest, ConfirmEmailResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    fields::failure,
};
use crate::domain::{email_proof::EmailToken, refusal::Refusal};

pub(super) async fn handle(
    context: &Context,
    request: Request<ConfirmEmailRequest>,
) -> Result<ConfirmEmailResponse, Failure> {
    let act = act(&request, "ConfirmEmail");
    let token = parse(request.get_ref())?.ok_or(Refusal::EmailTokenInvalid)?;
    let done = context
        .store
        .confirm_email(act, token, context.now())
        .await?;
    Ok(ConfirmEmailResponse {
        user_id: done.value.into_string(),
        revision: context.revision(&done.position),
    })
}

fn parse(request: &ConfirmEmailRequest) -> Result<Option<EmailToken>, Failure> {
    let mut fields = Violations::new();
    fields
        .take("token", EmailToken::parse(&request.token))
        .ok_or_else(|| failure(fields))
}
