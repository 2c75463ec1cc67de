//! Lists users page by page.

use identity_guard::caller::UserCaller;
use identity_kit::{
    clock::Timestamp, position::Position, secret::join, status::Failure, violations::Violations,
};
use identity_proto::user::v1::{ListUsersRequest, ListUsersResponse, UserOrder as WireOrder};
use prost::Message;
use tonic::Request;

use super::super::{
    context::{Context, user_caller},
    convert,
    fields::{choice, failure, optional, page_size, time},
};
use crate::domain::{
    id::{RoleId, UserTypeId},
    name::PermissionName,
    search::SearchQuery,
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
    let now = context.now();
    let page = context
        .store
        .list_users(&query.filter, query.after.as_ref(), query.size, now)
        .await?;
    let estimated_total = if request.estimate_total {
        let count = context.store.count_users(&query.filter, now).await?;
        Some(i64::try_from(count).unwrap_or(i64::MAX))
    } else {
        None
    };
    Ok(ListUsersResponse {
        estimated_total,
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
        estimate_total: false,
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
    let query = optional(&mut fields, "query", &request.query, SearchQuery::parse);
    let permission = optional(
        &mut fields,
        "permission",
        &request.permission,
        PermissionName::parse,
    );
    let created = range(&mut fields, request);
    match (
        size,
        after,
        status,
        user_type_id,
        role_id,
        order,
        min_revision,
        query,
        permission,
        created,
    ) {
        (
            Some(size),
            Some(after),
            Some(status),
            Some(user_type_id),
            Some(role_id),
            Some(order),
            Some(min_revision),
            Some(query),
            Some(permission),
            Some((created_after, created_before)),
        ) => Ok(Query {
            size,
            after,
            filter: UserFilter {
                status,
                user_type_id,
                role_id,
                permission,
                query,
                created_after,
                created_before,
                order,
            },
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}

/// The range of creation; `None` when it is malformed.
fn range(
    fields: &mut Violations,
    request: &ListUsersRequest,
) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    let from = time(fields, "created_after_time", request.created_after_time);
    let until = time(fields, "created_before_time", request.created_before_time);
    let (from, until) = (from?, until?);
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        fields.add(
            "created_before_time",
            "must be later than created_after_time",
        );
        return None;
    }
    Some((from, until))
}
