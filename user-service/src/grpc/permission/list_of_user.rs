//! Lists what a user holds, each with where it comes from, by name.

use identity_guard::caller::UserCaller;
use identity_kit::{position::Position, secret::join, status::Failure, violations::Violations};
use identity_proto::user::v1::{ListUserPermissionsRequest, ListUserPermissionsResponse};
use tonic::Request;

use super::super::{
    context::{Context, user_caller},
    convert,
    fields::{failure, page_size},
};
use crate::domain::{id::UserId, page::NameCursor, refusal::Refusal};

struct Query {
    user_id: UserId,
    size: u64,
    after: Option<NameCursor>,
    min_revision: Option<Position>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<ListUserPermissionsRequest>,
) -> Result<ListUserPermissionsResponse, Failure> {
    let caller = user_caller(&request)?;
    let request = request.into_inner();
    let fingerprint = join(&[b"ListUserPermissions", request.user_id.as_bytes()]);
    let query = parse(context, &caller, &request, &fingerprint)?;
    context.reach(query.min_revision.as_ref()).await?;
    let page = context
        .store
        .list_user_permissions(
            &query.user_id,
            query.after.as_ref(),
            query.size,
            context.now(),
        )
        .await?;
    if page.items.is_empty() && context.store.find_user(&query.user_id).await?.is_none() {
        return Err(Refusal::UserNotFound(query.user_id.into_string()).into());
    }
    Ok(ListUserPermissionsResponse {
        next_page_token: context.next_page_token(&caller, &fingerprint, page.next.as_ref()),
        permissions: page
            .items
            .into_iter()
            .map(convert::effective_permission)
            .collect(),
    })
}

fn parse(
    context: &Context,
    caller: &UserCaller,
    request: &ListUserPermissionsRequest,
    fingerprint: &[u8],
) -> Result<Query, Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let size = page_size(&mut fields, request.page_size);
    let after = context.cursor(&mut fields, caller, fingerprint, &request.page_token);
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (user_id, size, after, min_revision) {
        (Some(user_id), Some(size), Some(after), Some(min_revision)) => Ok(Query {
            user_id,
            size,
            after,
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}
