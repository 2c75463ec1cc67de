//! `ValidateToken`: says whether an access token is good, and what its user may do now.

use std::{mem, sync::Arc};

use identity_guard::{
    clock::Timestamp,
    engine::{MAX_TOKEN_BYTES, Refusal, VerifiedToken},
    status::Failure,
};
use identity_kit::violations::Violations;
use identity_proto::auth::v1::{ValidateTokenRequest, ValidateTokenResponse};
use tonic::Request;
use zeroize::Zeroizing;

use crate::{
    authority::{AuthError, Authority, FeedWait},
    domain::{account::AccessSnapshot, id::UserId},
    grpc::parse::min_revision,
};

struct Question {
    token: Zeroizing<String>,
    wait: FeedWait,
}

struct Answer {
    token: Arc<VerifiedToken>,
    access: AccessSnapshot,
    revision: String,
}

/// Serves the RPC.
pub(super) async fn validate_token(
    authority: &Authority,
    request: Request<ValidateTokenRequest>,
) -> Result<ValidateTokenResponse, Failure> {
    let question = parse(authority, request.into_inner())?;
    let answer = act(authority, question).await?;
    Ok(render(answer))
}

fn parse(authority: &Authority, mut message: ValidateTokenRequest) -> Result<Question, Failure> {
    let token = Zeroizing::new(mem::take(&mut message.access_token));
    let mut violations = Violations::new();
    if token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        violations.add("access_token", "must be at most 8192 printable characters");
    }
    let wait = min_revision(&mut violations, authority, &message.min_revision);
    violations.finish()?;
    Ok(Question { token, wait })
}

async fn act(authority: &Authority, question: Question) -> Result<Answer, AuthError> {
    if question.token.is_empty() {
        return Err(Refusal::Missing.into());
    }
    authority.wait_for(&question.wait).await?;
    // Read before the check: the answer is at least as new as it says.
    let revision = authority.revision(None);
    let token = authority.check_token(&question.token).await?;
    let user_id = UserId::trusted(token.claims().sub.as_str());
    let access = match authority.usable_access(&user_id).await {
        Err(AuthError::Unusable(_)) | Ok(None) => return Err(Refusal::Revoked.into()),
        Ok(Some(access)) => access,
        Err(error) => return Err(error),
    };
    // The session may have ended while user-service was asked.
    authority.check_token(&question.token).await?;
    Ok(Answer {
        token,
        access,
        revision,
    })
}

fn render(answer: Answer) -> ValidateTokenResponse {
    let claims = answer.token.claims();
    ValidateTokenResponse {
        user_id: claims.sub.clone(),
        session_id: claims.sid.clone(),
        client_id: claims.client_id.clone(),
        roles: answer.access.role_names(),
        permissions: answer.access.effective_permissions,
        amr: claims.amr.clone(),
        auth_time: Some(Timestamp::from_seconds(claims.auth_time).into()),
        issue_time: Some(Timestamp::from_seconds(claims.iat).into()),
        expire_time: Some(answer.token.expires_at().into()),
        generation: claims.generation,
        revision: answer.revision,
    }
}
