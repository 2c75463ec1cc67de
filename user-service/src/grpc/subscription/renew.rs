//! Renews a subscription.

use identity_kit::{clock::Timestamp, status::Failure, violations::Violations};
use identity_proto::user::v1::{RenewSubscriptionRequest, RenewSubscriptionResponse};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{end, failure},
};
use crate::domain::{etag::Etag, id::UserId};

/// Whose, until when, and in which state.
type Renewal = (UserId, Option<Timestamp>, Option<Etag>);

pub(super) async fn handle(
    context: &Context,
    request: Request<RenewSubscriptionRequest>,
) -> Result<RenewSubscriptionResponse, Failure> {
    let act = act(&request, "RenewSubscription");
    let now = context.now();
    let (user_id, ends_at, etag) = parse(request.get_ref(), now)?;
    let done = context
        .store
        .renew_subscription(act, user_id, ends_at, etag, now)
        .await?;
    Ok(RenewSubscriptionResponse {
        subscription: Some(convert::subscription(done.value, &context.plans)),
        revision: context.revision(&done.position),
    })
}

fn parse(request: &RenewSubscriptionRequest, now: Timestamp) -> Result<Renewal, Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let ends_at = end(&mut fields, "expire_time", request.expire_time, now);
    let etag = fields.take("etag", Etag::parse(&request.etag));
    match (user_id, ends_at, etag) {
        (Some(user_id), Some(ends_at), Some(etag)) => Ok((user_id, ends_at, etag)),
        _ => Err(failure(fields)),
    }
}
