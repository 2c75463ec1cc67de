//! `RevokeSession`: ends one session of a user with its tokens.

use identity_guard::status::Failure;
use identity_kit::violations::Violations;
use identity_proto::auth::v1::{RevokeSessionRequest, RevokeSessionResponse};
use tonic::Request;

use crate::{
    authority::{AuthError, Authority, Revoked},
    domain::id::{SessionId, UserId},
    grpc::convert::count,
};

/// Serves the RPC.
pub(super) async fn revoke_session(
    authority: &Authority,
    request: &Request<RevokeSessionRequest>,
) -> Result<RevokeSessionResponse, Failure> {
    let (user_id, session_id) = parse(request.get_ref())?;
    let revoked = act(authority, &user_id, session_id).await?;
    Ok(RevokeSessionResponse {
        refresh_tokens_revoked: count(revoked.refresh_tokens),
        revision: revoked.revision,
    })
}

fn parse(message: &RevokeSessionRequest) -> Result<(UserId, SessionId), Failure> {
    let mut violations = Violations::new();
    let user_id = violations.take("user_id", UserId::parse(&message.user_id));
    let session_id = violations.take("session_id", SessionId::parse(&message.session_id));
    violations.finish()?;
    user_id.zip(session_id).ok_or_else(Failure::internal)
}

async fn act(
    authority: &Authority,
    user_id: &UserId,
    session_id: SessionId,
) -> Result<Revoked, AuthError> {
    authority
        .end_session(user_id, &session_id)
        .await?
        .ok_or(AuthError::SessionNotFound(session_id))
}
