//! Fields that several requests share.

use identity_guard::{
    caller::{Caller, UserCaller, caller},
    engine::Refusal,
    status::Failure,
};
use identity_kit::violations::Violations;
use tonic::Request;

use crate::authority::{AuthError, Authority, FeedWait};

/// The longest text of a consistency token and of an opaque token, in bytes.
const MAX_TOKEN_LENGTH: usize = 512;

/// The user who calls. The guard has let nobody else through.
pub(super) fn user_caller<T>(request: &Request<T>) -> Result<&UserCaller, Failure> {
    match caller(request) {
        Caller::User(user) => Ok(user),
        Caller::Anonymous | Caller::Service(_) => Err(AuthError::from(Refusal::Missing).into()),
    }
}

/// A secret token's text: whether it can be one at all. What it is worth is another question, with another answer.
pub(super) fn opaque_text<'a>(
    violations: &mut Violations,
    field: &'static str,
    text: &'a str,
) -> &'a str {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > MAX_TOKEN_LENGTH || !printable {
        violations.add(field, "must be 1 to 512 printable characters");
    }
    text
}

/// `min_revision`.
pub(super) fn min_revision(
    violations: &mut Violations,
    authority: &Authority,
    text: &str,
) -> FeedWait {
    if text.is_empty() {
        return None;
    }
    let decoded = if text.len() > MAX_TOKEN_LENGTH {
        Err("is no consistency token")
    } else {
        authority
            .consistency
            .decode(text)
            .map_err(|_| "is no consistency token")
    };
    violations.take("min_revision", decoded)
}
