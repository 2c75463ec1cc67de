//! Gives roles to many users, with an outcome for each.

use std::collections::HashSet;

use identity_kit::{clock::Timestamp, status::Failure, violations::Violations};
use identity_proto::user::v1::{
    BatchAssignRolesRequest, BatchAssignRolesResponse, RoleAssignment as WireAssignment,
};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{distinct, end, failure},
};
use crate::domain::{
    access::{AssignOutcome, RoleAssignment},
    id::{RoleId, UserId},
    problem::Problem,
};

/// The most items of a request: with ids of full length it stays below a megabyte.
const MAX_ITEMS: usize = 1_000;
/// The most roles of an item.
const MAX_ROLES_OF_ITEM: usize = 10;
/// The most different roles of a request.
const MAX_ROLES: usize = 100;

pub(super) async fn handle(
    context: &Context,
    request: Request<BatchAssignRolesRequest>,
) -> Result<BatchAssignRolesResponse, Failure> {
    let act = act(&request, "BatchAssignRoles");
    let now = context.now();
    let items = parse(request.get_ref(), now)?;
    let done = context.store.batch_assign_roles(act, items, now).await?;
    let assigned = done
        .value
        .iter()
        .filter(|outcome| **outcome == AssignOutcome::Assigned)
        .count();
    Ok(BatchAssignRolesResponse {
        outcomes: done
            .value
            .into_iter()
            .map(|outcome| convert::assign_outcome(outcome).into())
            .collect(),
        assigned_count: convert::count(assigned as u64)?,
        revision: context.revision(&done.position),
    })
}

fn parse(
    request: &BatchAssignRolesRequest,
    now: Timestamp,
) -> Result<Vec<RoleAssignment>, Failure> {
    let mut fields = Violations::new();
    if request.items.is_empty() {
        fields.add("items", Problem::Empty.to_string());
    }
    if request.items.len() > MAX_ITEMS {
        fields.add("items", Problem::TooMany(MAX_ITEMS).to_string());
        return Err(failure(fields));
    }
    let mut users = HashSet::new();
    let items: Vec<_> = request
        .items
        .iter()
        .enumerate()
        .map(|(index, item)| parse_item(&mut fields, index, item, &mut users, now))
        .collect();
    let items: Option<Vec<_>> = items.into_iter().collect();
    let roles: HashSet<_> = request
        .items
        .iter()
        .flat_map(|item| &item.role_ids)
        .collect();
    if roles.len() > MAX_ROLES {
        fields.add("items", "must name at most 100 different roles");
    }
    match items {
        Some(items) if fields.is_empty() => Ok(items),
        _ => Err(failure(fields)),
    }
}

fn parse_item<'r>(
    fields: &mut Violations,
    index: usize,
    item: &'r WireAssignment,
    users: &mut HashSet<&'r str>,
    now: Timestamp,
) -> Option<RoleAssignment> {
    let field = |name: &str| format!("items[{index}].{name}");
    let user_id = if users.insert(&item.user_id) {
        UserId::parse(&item.user_id)
    } else {
        Err(Problem::Duplicate)
    };
    let user_id = fields.take(field("user_id"), user_id);
    let role_ids = distinct(
        fields,
        &field("role_ids"),
        &item.role_ids,
        MAX_ROLES_OF_ITEM,
        RoleId::parse,
    );
    let ends_at = end(fields, field("expire_time"), item.expire_time, now);
    Some(RoleAssignment {
        user_id: user_id?,
        role_ids: role_ids?,
        ends_at: ends_at?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(user_id: &str, roles: &[&str]) -> WireAssignment {
        WireAssignment {
            user_id: user_id.to_owned(),
            role_ids: roles.iter().map(|&id| id.to_owned()).collect(),
            expire_time: None,
        }
    }

    fn accepts(items: Vec<WireAssignment>) -> bool {
        let now = Timestamp::from_seconds(1_800_000_000);
        parse(&BatchAssignRolesRequest { items }, now).is_ok()
    }

    #[test]
    fn a_batch_is_bounded_and_names_each_user_once() {
        assert!(accepts(vec![item("a", &["r"]), item("b", &["r"])]));
        assert!(!accepts(vec![]));
        assert!(!accepts(vec![item("a", &["r"]), item("a", &["s"])]));
        assert!(!accepts(vec![item("a", &[])]));
        assert!(!accepts(vec![item("a", &["r", "r"])]));
        let many = |count| {
            (0..count)
                .map(|user| item(&format!("u{user}"), &["r"]))
                .collect()
        };
        assert!(accepts(many(1_000)));
        assert!(!accepts(many(1_001)));
        let eleven: Vec<_> = (0..11).map(|role| format!("r{role}")).collect();
        let eleven: Vec<_> = eleven.iter().map(String::as_str).collect();
        assert!(accepts(vec![item("a", &eleven[..10])]));
        assert!(!accepts(vec![item("a", &eleven)]));
    }

    #[test]
    fn a_batch_names_few_different_roles() {
        let of = |count| {
            (0..count)
                .map(|user| item(&format!("u{user}"), &[&format!("r{user}")]))
                .collect()
        };
        assert!(accepts(of(100)));
        assert!(!accepts(of(101)));
    }
}
