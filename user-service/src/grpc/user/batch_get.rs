//! Reads several users at once, in the order asked for.

use std::collections::HashMap;

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{BatchGetUsersRequest, BatchGetUsersResponse};
use tonic::Request;

use super::super::{
    context::Context,
    convert,
    fields::{failure, list},
};
use crate::domain::id::UserId;

pub(super) async fn handle(
    context: &Context,
    request: Request<BatchGetUsersRequest>,
) -> Result<BatchGetUsersResponse, Failure> {
    let (ids, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context.store.list_users_by_id(&ids).await?;
    let mut found: HashMap<_, _> = found
        .into_iter()
        .map(|user| (user.id.clone(), user))
        .collect();
    let mut response = BatchGetUsersResponse::default();
    for id in ids {
        match found.remove(&id) {
            Some(user) => response.users.push(convert::user(user)),
            None => response.missing_user_ids.push(id.into_string()),
        }
    }
    Ok(response)
}

fn parse(
    context: &Context,
    request: &BatchGetUsersRequest,
) -> Result<(Vec<UserId>, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let ids = list(
        &mut fields,
        "user_ids",
        &request.user_ids,
        true,
        UserId::parse,
    );
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (ids, min_revision) {
        (Some(ids), Some(min_revision)) => Ok((ids, min_revision)),
        _ => Err(failure(fields)),
    }
}
