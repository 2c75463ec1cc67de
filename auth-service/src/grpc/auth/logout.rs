//! Logout: ends the session of the access token that the call carries.

use identity_guard::{engine::Refusal, status::Failure};
use identity_proto::auth::v1::{LogoutRequest, LogoutResponse};
use tonic::Request;

use crate::{
    authority::{AuthError, Authority, Revoked},
    domain::id::{SessionId, UserId},
    grpc::{convert::count, parse::user_caller},
};

/// Serves the RPC.
pub(super) async fn logout(
    authority: &Authority,
    request: &Request<LogoutRequest>,
) -> Result<LogoutResponse, Failure> {
    let caller = user_caller(request)?;
    let user_id = UserId::trusted(caller.user_id.as_str());
    let session_id = SessionId::trusted(caller.session_id.as_str());
    let revoked = act(authority, &user_id, &session_id).await?;
    Ok(LogoutResponse {
        session_id: session_id.into_string(),
        refresh_tokens_revoked: count(revoked.refresh_tokens),
        revision: revoked.revision,
    })
}

async fn act(
    authority: &Authority,
    user_id: &UserId,
    session_id: &SessionId,
) -> Result<Revoked, AuthError> {
    authority
        .end_session(user_id, session_id)
        .await?
        // Another call has ended it since the guard let this one through.
        .ok_or(AuthError::Token(Refusal::Revoked))
}
