//! Reads everything that a login needs.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{
    GetCredentialRequest, GetCredentialResponse, get_credential_request::Identifier,
};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::{
    domain::{id::UserId, identifier::LoginKey, refusal::Refusal},
    store::CredentialKey,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<GetCredentialRequest>,
) -> Result<GetCredentialResponse, Failure> {
    let key = parse(request.get_ref())?;
    let found = context.store.find_credential(&key, context.now()).await?;
    let found = found.ok_or_else(|| match key {
        CredentialKey::User(id) => Refusal::UserNotFound(id.into_string()),
        // What was typed is nobody's id, and may be a slip that shows a password: it is not repeated.
        CredentialKey::Login(_) => Refusal::UserNotFound(String::new()),
    })?;
    Ok(GetCredentialResponse {
        password_hash: found
            .hash
            .map(|hash| hash.expose().to_owned())
            .unwrap_or_default(),
        password_change_required: found.change_required,
        credential_version: found.version,
        access: Some(convert::access(found.access, &context.plans)),
        forbidden_passwords: found.forbidden,
    })
}

fn parse(request: &GetCredentialRequest) -> Result<CredentialKey, Failure> {
    let mut fields = Violations::new();
    let key = match &request.identifier {
        Some(Identifier::Login(login)) => fields
            .take("login", LoginKey::parse(login))
            .map(CredentialKey::Login),
        Some(Identifier::UserId(id)) => fields
            .take("user_id", UserId::parse(id))
            .map(CredentialKey::User),
        None => {
            fields.add("identifier", "must be set");
            None
        }
    };
    key.ok_or_else(|| failure(fields))
}
