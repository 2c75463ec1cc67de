//! Begins a change of the caller's own address, which takes effect once the new one is proven.

use std::time::Duration;

use identity_guard::caller::UserCaller;
use identity_kit::{
    clock::Timestamp,
    status::{ErrorReason, Failure},
    violations::Violations,
};
use identity_proto::user::v1::{RequestEmailChangeRequest, RequestEmailChangeResponse};
use tonic::Request;

use super::super::{
    context::{Context, act, caller_id, user_caller},
    fields::failure,
};
use crate::domain::email::Email;

/// How long ago the caller may have logged in.
const RECENT: Duration = Duration::from_mins(10);
/// How often one user may ask in an hour.
const OF_USER: i64 = 10;

pub(super) async fn handle(
    context: &Context,
    request: Request<RequestEmailChangeRequest>,
) -> Result<RequestEmailChangeResponse, Failure> {
    let caller = user_caller(&request)?;
    let act = act(&request, "RequestEmailChange");
    let now = context.now();
    let id = caller_id(&caller);
    context.require_active(&id).await?;
    demand_recent_login(&caller, now)?;
    let email = parse(request.get_ref())?;
    let asker = context.askers.asker("email", id.as_str(), OF_USER);
    context.store.spend(vec![asker], now).await?;
    let expires_at = context
        .store
        .insert_email_change(act, context.new_id(), id, email, now)
        .await?;
    Ok(RequestEmailChangeResponse {
        expire_time: Some(expires_at.into()),
    })
}

/// A token that was left lying about is not enough for what takes an account over.
fn demand_recent_login(caller: &UserCaller, now: Timestamp) -> Result<(), Failure> {
    let at = Timestamp::from_seconds(caller.token.claims().auth_time);
    if now.since(at) > RECENT {
        return Err(Failure::new(
            ErrorReason::ReauthenticationRequired,
            "log in again and repeat this within 10 minutes",
        ));
    }
    Ok(())
}

fn parse(request: &RequestEmailChangeRequest) -> Result<Email, Failure> {
    let mut fields = Violations::new();
    fields
        .take("email", Email::parse(&request.email))
        .ok_or_else(|| failure(fields))
}
