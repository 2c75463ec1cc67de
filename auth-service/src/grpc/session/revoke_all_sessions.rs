//! `RevokeAllSessions`: ends all sessions of a user with their tokens.

use identity_guard::status::Failure;
use identity_kit::violations::Violations;
use identity_proto::auth::v1::{RevokeAllSessionsRequest, RevokeAllSessionsResponse};
use tonic::Request;

use crate::{
    authority::Authority,
    domain::id::{SessionId, UserId},
    grpc::{convert::count, parse::user_caller},
};

/// Serves the RPC.
pub(super) async fn revoke_all_sessions(
    authority: &Authority,
    request: &Request<RevokeAllSessionsRequest>,
) -> Result<RevokeAllSessionsResponse, Failure> {
    let (user_id, spared) = parse(request)?;
    let revoked = authority
        .end_all_sessions(&user_id, spared.as_ref())
        .await?;
    Ok(RevokeAllSessionsResponse {
        sessions_revoked: count(revoked.sessions),
        refresh_tokens_revoked: count(revoked.refresh_tokens),
        revision: revoked.revision,
    })
}

fn parse(
    request: &Request<RevokeAllSessionsRequest>,
) -> Result<(UserId, Option<SessionId>), Failure> {
    let caller = user_caller(request)?;
    let message = request.get_ref();
    let mut violations = Violations::new();
    let user_id = violations.take("user_id", UserId::parse(&message.user_id));
    if message.keep_current && caller.user_id != message.user_id {
        violations.add("keep_current", "must be false with another's user id");
    }
    violations.finish()?;
    let spared = message
        .keep_current
        .then(|| SessionId::trusted(caller.session_id.as_str()));
    Ok((user_id.ok_or_else(Failure::internal)?, spared))
}
