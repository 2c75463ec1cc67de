//! Reads a user's subscription.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{GetSubscriptionRequest, GetSubscriptionResponse};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::domain::{id::UserId, refusal::Refusal};

pub(super) async fn handle(
    context: &Context,
    request: Request<GetSubscriptionRequest>,
) -> Result<GetSubscriptionResponse, Failure> {
    let (user_id, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context
        .store
        .find_subscription(&user_id, context.now())
        .await?;
    let found = found.ok_or(Refusal::SubscriptionNotFound(user_id))?;
    Ok(GetSubscriptionResponse {
        subscription: Some(convert::subscription(found, &context.plans)),
    })
}

fn parse(
    context: &Context,
    request: &GetSubscriptionRequest,
) -> Result<(UserId, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (user_id, min_revision) {
        (Some(user_id), Some(min_revision)) => Ok((user_id, min_revision)),
        _ => Err(failure(fields)),
    }
}
