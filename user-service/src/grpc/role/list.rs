//! Lists roles by name, page by page.

use identity_guard::caller::UserCaller;
use identity_kit::{position::Position, secret::join, status::Failure, violations::Violations};
use identity_proto::user::v1::{ListRolesRequest, ListRolesResponse};
use tonic::Request;

use super::super::{
    context::{Context, user_caller},
    convert,
    fields::{failure, optional, page_size},
};
use crate::domain::{name::RoleName, page::NameCursor};

struct Query {
    size: u64,
    after: Option<NameCursor>,
    name: Option<RoleName>,
    min_revision: Option<Position>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<ListRolesRequest>,
) -> Result<ListRolesResponse, Failure> {
    let caller = user_caller(&request)?;
    let request = request.into_inner();
    let fingerprint = join(&[b"ListRoles", request.name.as_bytes()]);
    let query = parse(context, &caller, &request, &fingerprint)?;
    context.reach(query.min_revision.as_ref()).await?;
    let page = context
        .store
        .list_roles(query.name.as_ref(), query.after.as_ref(), query.size)
        .await?;
    Ok(ListRolesResponse {
        next_page_token: context.next_page_token(&caller, &fingerprint, page.next.as_ref()),
        roles: page.items.into_iter().map(convert::role).collect(),
    })
}

fn parse(
    context: &Context,
    caller: &UserCaller,
    request: &ListRolesRequest,
    fingerprint: &[u8],
) -> Result<Query, Failure> {
    let mut fields = Violations::new();
    let size = page_size(&mut fields, request.page_size);
    let after = context.cursor(&mut fields, caller, fingerprint, &request.page_token);
    let name = optional(&mut fields, "name", &request.name, RoleName::parse);
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (size, after, name, min_revision) {
        (Some(size), Some(after), Some(name), Some(min_revision)) => Ok(Query {
            size,
            after,
            name,
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}
