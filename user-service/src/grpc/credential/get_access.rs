//! Reads a user's status and rights, from the database and never from a cache.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{
    GetAccessSnapshotRequest, GetAccessSnapshotResponse, UserFeedPosition,
};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::domain::{id::UserId, problem::Problem, refusal::Refusal};

/// The longest epoch that is looked at, in characters.
const MAX_EPOCH: usize = 64;

pub(super) async fn handle(
    context: &Context,
    request: Request<GetAccessSnapshotRequest>,
) -> Result<GetAccessSnapshotResponse, Failure> {
    let (id, min_position) = parse(request.get_ref())?;
    if let Some(position) = &min_position {
        context.reach_in("min_position", position).await?;
    }
    let access = context.store.find_access(&id, context.now()).await?;
    let access = access.ok_or_else(|| Refusal::UserNotFound(id.into_string()))?;
    Ok(GetAccessSnapshotResponse {
        access: Some(convert::access(access, &context.plans)),
    })
}

fn parse(request: &GetAccessSnapshotRequest) -> Result<(UserId, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_id", UserId::parse(&request.user_id));
    let position = request.min_position.as_ref().map(position).transpose();
    let position = fields.take("min_position.epoch", position);
    match (id, position) {
        (Some(id), Some(position)) => Ok((id, position)),
        _ => Err(failure(fields)),
    }
}

fn position(wire: &UserFeedPosition) -> Result<Position, Problem> {
    if wire.epoch.is_empty() {
        return Err(Problem::Empty);
    }
    if wire.epoch.len() > MAX_EPOCH {
        return Err(Problem::TooLong(MAX_EPOCH));
    }
    if wire.epoch.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Position::new(wire.epoch.as_str(), wire.revision))
    } else {
        Err(Problem::Format("must be an epoch as it was answered"))
    }
}
