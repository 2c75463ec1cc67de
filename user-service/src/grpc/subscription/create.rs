//! Gives a user a subscription.

use identity_kit::{clock::Timestamp, status::Failure, violations::Violations};
use identity_proto::user::v1::{CreateSubscriptionRequest, CreateSubscriptionResponse};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, act, user_caller},
    convert,
    fields::{end, failure},
};
use crate::domain::{
    id::{SubscriptionId, UserId},
    identifier::RequestId,
    plan::PlanName,
    refusal::Refusal,
    subscription::NewSubscription,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<CreateSubscriptionRequest>,
) -> Result<CreateSubscriptionResponse, Failure> {
    let caller = user_caller(&request)?;
    let act = act(&request, "CreateSubscription");
    let now = context.now();
    let (new, request_id) = parse(context, request.get_ref(), now)?;
    if !context.plans.has(&new.plan) {
        return Err(Refusal::PlanNotFound(new.plan).into());
    }
    let question = CreateSubscriptionRequest {
        request_id: String::new(),
        ..request.into_inner()
    };
    let key = context.request_key(
        &caller,
        "CreateSubscription",
        request_id,
        question.encode_to_vec(),
    );
    let done = context
        .store
        .insert_subscription(act, new, key, now)
        .await?;
    Ok(CreateSubscriptionResponse {
        subscription: Some(convert::subscription(done.value, &context.plans)),
        revision: context.revision(&done.position),
    })
}

fn parse(
    context: &Context,
    request: &CreateSubscriptionRequest,
    now: Timestamp,
) -> Result<(NewSubscription, Option<RequestId>), Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let plan = fields.take("plan", PlanName::parse(&request.plan));
    let ends_at = end(&mut fields, "expire_time", request.expire_time, now);
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    match (user_id, plan, ends_at, request_id) {
        (Some(user_id), Some(plan), Some(ends_at), Some(request_id)) => {
            let id = SubscriptionId::new(context.new_id());
            let new = NewSubscription {
                id,
                user_id,
                plan,
                ends_at,
            };
            Ok((new, request_id))
        }
        _ => Err(failure(fields)),
    }
}
