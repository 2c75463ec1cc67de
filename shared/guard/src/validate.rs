//! Asking auth-service about a token that was verified here.

#[cfg(test)]
pub(crate) mod testing;

use identity_proto::auth::v1::{
    ValidateTokenRequest, ValidateTokenResponse, auth_service_client::AuthServiceClient,
};
use tonic::Status;

use crate::{
    channel::IdentityChannel,
    engine::{Refusal, VerifiedToken},
    layer::refused,
    status::{ErrorReason, Failure, reason_of},
};

/// What auth-service says of a token now; `text` is the token's own.
///
/// # Errors
/// The refusal of the token; UNAVAILABLE / `DEPENDENCY_UNAVAILABLE` when auth-service cannot say.
pub(crate) async fn validate(
    client: &AuthServiceClient<IdentityChannel>,
    token: &VerifiedToken,
    text: &str,
) -> Result<ValidateTokenResponse, Failure> {
    let request = ValidateTokenRequest {
        access_token: text.to_owned(),
        min_revision: String::new(),
    };
    let answer = client
        .clone()
        .validate_token(request)
        .await
        .map_err(|status| failure(&status))?
        .into_inner();
    let claims = token.claims();
    if answer.user_id != claims.sub || answer.session_id != claims.sid {
        tracing::error!("auth-service answered about another token");
        return Err(refused(Refusal::Stale));
    }
    Ok(answer)
}

/// A refusal of the token stays what it is; anything else means that nobody knows.
fn failure(status: &Status) -> Failure {
    refused(match reason_of(status) {
        Some(ErrorReason::TokenInvalid | ErrorReason::TokenMissing) => Refusal::Invalid,
        Some(ErrorReason::TokenExpired) => Refusal::Expired,
        Some(ErrorReason::TokenRevoked) => Refusal::Revoked,
        _ => {
            tracing::debug!(code = ?status.code(), "auth-service could not be asked about a token");
            Refusal::Stale
        }
    })
}
