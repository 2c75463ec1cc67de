//! Waits until a revision counts wherever decisions are made.

use identity_kit::{feed::Acknowledged, status::Failure, violations::Violations};
use identity_proto::user::v1::{AwaitRevisionRequest, AwaitRevisionResponse};
use tonic::Request;

use super::{
    super::{
        context::{caller_id, user_caller},
        fields::failure,
    },
    Revisions,
};

pub(super) async fn handle(
    revisions: &Revisions,
    request: Request<AwaitRevisionRequest>,
) -> Result<AwaitRevisionResponse, Failure> {
    let context = &revisions.context;
    let caller = caller_id(&user_caller(&request)?);
    context.require_active(&caller).await?;
    let mut fields = Violations::new();
    let revision = context.revisions.decode(&request.get_ref().revision);
    let Some(position) = fields.take("revision", revision) else {
        return Err(failure(fields));
    };
    let position = context.reach_in("revision", &position).await?;
    // The layer that knows the deadline ends this wait.
    let Acknowledged {
        acknowledged,
        lapsed,
    } = revisions.watchers.acknowledged(&position).await;
    Ok(AwaitRevisionResponse {
        acknowledged_count: i32::try_from(acknowledged).unwrap_or(i32::MAX),
        lapsed_count: i32::try_from(lapsed).unwrap_or(i32::MAX),
    })
}
