//! Lists user types by name, page by page.

use identity_guard::caller::UserCaller;
use identity_kit::{position::Position, secret::join, status::Failure, violations::Violations};
use identity_proto::user::v1::{ListUserTypesRequest, ListUserTypesResponse};
use tonic::Request;

use super::super::{
    context::{Context, user_caller},
    convert,
    fields::{failure, page_size},
};
use crate::domain::page::NameCursor;

struct Query {
    size: u64,
    after: Option<NameCursor>,
    min_revision: Option<Position>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<ListUserTypesRequest>,
) -> Result<ListUserTypesResponse, Failure> {
    let caller = user_caller(&request)?;
    let request = request.into_inner();
    let fingerprint = join(&[b"ListUserTypes"]);
    let query = parse(context, &caller, &request, &fingerprint)?;
    context.reach(query.min_revision.as_ref()).await?;
    let page = context
        .store
        .list_user_types(query.after.as_ref(), query.size)
        .await?;
    Ok(ListUserTypesResponse {
        next_page_token: context.next_page_token(&caller, &fingerprint, page.next.as_ref()),
        user_types: page.items.into_iter().map(convert::user_type).collect(),
    })
}

fn parse(
    context: &Context,
    caller: &UserCaller,
    request: &ListUserTypesRequest,
    fingerprint: &[u8],
) -> Result<Query, Failure> {
    let mut fields = Violations::new();
    let size = page_size(&mut fields, request.page_size);
    let after = context.cursor(&mut fields, caller, fingerprint, &request.page_token);
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (size, after, min_revision) {
        (Some(size), Some(after), Some(min_revision)) => Ok(Query {
            size,
            after,
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}
