//! Changes the plan of a subscription.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{
    SubscriptionUpdate, UpdateSubscriptionRequest, UpdateSubscriptionResponse,
};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{Mask, failure},
};
use crate::domain::{etag::Etag, id::UserId, plan::PlanName, refusal::Refusal};

/// What can be changed.
const PATHS: [&str; 1] = ["plan"];

pub(super) async fn handle(
    context: &Context,
    request: Request<UpdateSubscriptionRequest>,
) -> Result<UpdateSubscriptionResponse, Failure> {
    let act = act(&request, "UpdateSubscription");
    let (user_id, plan, etag) = parse(request.get_ref())?;
    if let Some(plan) = &plan
        && !context.plans.has(plan)
    {
        return Err(Refusal::PlanNotFound(plan.clone()).into());
    }
    let done = context
        .store
        .update_subscription(act, user_id, plan, etag, context.now())
        .await?;
    Ok(UpdateSubscriptionResponse {
        subscription: Some(convert::subscription(done.value, &context.plans)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    request: &UpdateSubscriptionRequest,
) -> Result<(UserId, Option<PlanName>, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    let absent = SubscriptionUpdate::default();
    let update = request.subscription.as_ref().unwrap_or_else(|| {
        fields.add("subscription", "must be set");
        &absent
    });
    let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &PATHS);
    let plan = mask.text(
        &mut fields,
        ("subscription", "plan"),
        update.plan.as_ref(),
        PlanName::parse,
    );
    match (user_id, etag, plan) {
        (Some(user_id), Some(etag), Some(plan)) if fields.is_empty() => Ok((user_id, plan, etag)),
        _ => Err(failure(fields)),
    }
}
