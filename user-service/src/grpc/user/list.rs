//! Lists users page by page.

use identity_guard::caller::UserCaller;
use identity_kit::{position::Position, secret::join, status::Failure, violations::Violations};
use identity_proto::user::v1::{ListUsersRequest, ListUsersResponse, UserOrder as WireOrder};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, user_caller},
    convert,
    fields::{choice, failure, optional, page_size},
};
use crate::domain::{
    id::{RoleId, UserTypeId},
    user::{UserCursor, UserFilter, UserOrder},
};

struct Query {
    size: u64,
    after: Option<UserCursor>,
    filter: UserFilter,
    min_revision: Option<Position>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<ListUsersRequest>,
) -> Result<ListUsersResponse, Failure> {
    let caller = user_caller(&request)?;
    let request = request.into_inner();
    let fingerprint = fingerprint(&request);
    let query = parse(context, &caller, &request, &fingerprint)?;
    context.reach(query.min_revision.as_ref()).await?;
    let page = context
        .store
        .list_users(
            &query.filter,
            query.after.as_ref(),
            query.size,
            context.now(),
        )
        .await?;
    Ok(ListUsersResponse {
        next_page_token: context.next_page_token(&caller, &fingerprint, page.next.as_ref()),
        users: page.items.into_iter().map(convert::user).collect(),
    })
}

/// What a page token is bound to: filters and order.
fn fingerprint(request: &ListUsersRequest) -> Vec<u8> {
    let question = ListUsersRequest {
        page_size: 0,
        page_token: String::new(),
        min_revision: String::new(),
        ..request.clone()
    };
    join(&[b"ListUsers", &question.encode_to_vec()])
}

fn parse(
    context: &Context,
    caller: &UserCaller,
    request: &ListUsersRequest,
    fingerprint: &[u8],
) -> Result<Query, Failure> {
    let mut fields = Violations::new();
    let size = page_size(&mut fields, request.page_size);
    let after = context.cursor(&mut fields, caller, fingerprint, &request.page_token);
    let status = choice(
        &mut fields,
        "status",
        request.status,
        convert::status_filter,
    );
    let user_type_id = optional(
        &mut fields,
        "user_type_id",
        &request.user_type_id,
        UserTypeId::parse,
    );
    let role_id = optional(&mut fields, "role_id", &request.role_id, RoleId::parse);
    let order = choice(
        &mut fields,
        "order",
        request.order,
        |order: WireOrder| match order {
            WireOrder::Unspecified | WireOrder::CreateTimeDesc => UserOrder::CreatedDescending,
            WireOrder::CreateTimeAsc => UserOrder::CreatedAscending,
            WireOrder::UsernameAsc => UserOrder::Username,
        },
    );
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (
        size,
        after,
        status,
        user_type_id,
        role_id,
        order,
        min_revision,
    ) {
        (
            Some(size),
            Some(after),
            Some(status),
            Some(user_type_id),
            Some(role_id),
            Some(order),
            Some(min_revision),
        ) => Ok(Query {
            size,
            after,
            filter: UserFilter {
                status,
                user_type_id,
                role_id,
                order,
            },
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}
