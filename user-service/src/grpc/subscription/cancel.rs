//! Cancels a subscription, at its end or now.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{
    CancelMode as WireMode, CancelSubscriptionRequest, CancelSubscriptionResponse,
};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{choice, failure},
};
use crate::domain::{etag::Etag, id::UserId, problem::Problem, subscription::CancelMode};

pub(super) async fn handle(
    context: &Context,
    request: Request<CancelSubscriptionRequest>,
) -> Result<CancelSubscriptionResponse, Failure> {
    let act = act(&request, "CancelSubscription");
    let (user_id, mode, etag) = parse(request.get_ref())?;
    let done = context
        .store
        .cancel_subscription(act, user_id, mode, etag, context.now())
        .await?;
    Ok(CancelSubscriptionResponse {
        subscription: Some(convert::subscription(done.value, &context.plans)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    request: &CancelSubscriptionRequest,
) -> Result<(UserId, CancelMode, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let mode = choice(
        &mut fields,
        "mode",
        request.mode,
        |mode: WireMode| match mode {
            WireMode::Unspecified => None,
            WireMode::AtEnd => Some(CancelMode::AtEnd),
            WireMode::Now => Some(CancelMode::Now),
        },
    );
    if mode == Some(None) {
        fields.add("mode", Problem::Empty.to_string());
    }
    let etag = fields.take("etag", Etag::parse(&request.etag));
    match (user_id, mode.flatten(), etag) {
        (Some(user_id), Some(mode), Some(etag)) => Ok((user_id, mode, etag)),
        _ => Err(failure(fields)),
    }
}
