//! Lists subscriptions, the newest first, page by page.

use identity_guard::caller::UserCaller;
use identity_kit::{position::Position, secret::join, status::Failure, violations::Violations};
use identity_proto::user::v1::{ListSubscriptionsRequest, ListSubscriptionsResponse};
use tonic::Request;

use super::super::{
    context::{Context, user_caller},
    convert,
    fields::{failure, optional, page_size},
};
use crate::domain::{plan::PlanName, subscription::SubscriptionCursor};

struct Query {
    plan: Option<PlanName>,
    size: u64,
    after: Option<SubscriptionCursor>,
    min_revision: Option<Position>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<ListSubscriptionsRequest>,
) -> Result<ListSubscriptionsResponse, Failure> {
    let caller = user_caller(&request)?;
    let request = request.into_inner();
    let fingerprint = join(&[b"ListSubscriptions", request.plan.as_bytes()]);
    let query = parse(context, &caller, &request, &fingerprint)?;
    context.reach(query.min_revision.as_ref()).await?;
    let page = context
        .store
        .list_subscriptions(
            query.plan.as_ref(),
            query.after.as_ref(),
            query.size,
            context.now(),
        )
        .await?;
    Ok(ListSubscriptionsResponse {
        next_page_token: context.next_page_token(&caller, &fingerprint, page.next.as_ref()),
        subscriptions: page
            .items
            .into_iter()
            .map(|subscription| convert::subscription(subscription, &context.plans))
            .collect(),
    })
}

fn parse(
    context: &Context,
    caller: &UserCaller,
    request: &ListSubscriptionsRequest,
    fingerprint: &[u8],
) -> Result<Query, Failure> {
    let mut fields = Violations::new();
    let plan = optional(&mut fields, "plan", &request.plan, PlanName::parse);
    let size = page_size(&mut fields, request.page_size);
    let after = context.cursor(&mut fields, caller, fingerprint, &request.page_token);
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (plan, size, after, min_revision) {
        (Some(plan), Some(size), Some(after), Some(min_revision)) => Ok(Query {
            plan,
            size,
            after,
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}
