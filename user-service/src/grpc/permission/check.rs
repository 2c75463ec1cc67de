//! Decides an ordered batch of permissions for one user.

use std::collections::HashMap;

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{
    CheckPermissionsRequest, CheckPermissionsResponse, PermissionCheck,
};
use tonic::Request;

use super::super::{
    context::Context,
    convert,
    fields::{failure, list},
};
use crate::domain::{
    access::{CheckReason, Standing},
    id::UserId,
    name::PermissionName,
    refusal::Refusal,
    user::UserStatus,
};

struct Question {
    user_id: UserId,
    permissions: Vec<PermissionName>,
    min_revision: Option<Position>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<CheckPermissionsRequest>,
) -> Result<CheckPermissionsResponse, Failure> {
    let question = parse(context, request.get_ref())?;
    context.reach(question.min_revision.as_ref()).await?;
    let now = context.now();
    // The position is read first, so that the answers are never older than it says.
    let found = context
        .store
        .find_full_user(&question.user_id, false, now)
        .await?;
    let found = found.ok_or_else(|| Refusal::UserNotFound(question.user_id.as_str().to_owned()))?;
    let standings = context
        .store
        .list_standings(&question.user_id, &question.permissions, now)
        .await?;
    let standings: HashMap<_, _> = standings
        .iter()
        .map(|standing| (&standing.name, standing))
        .collect();
    Ok(CheckPermissionsResponse {
        checks: question
            .permissions
            .iter()
            .map(|name| check(found.user.status, name, standings.get(name).copied()))
            .collect(),
        revision: context.revision(&found.position),
    })
}

fn check(
    status: UserStatus,
    name: &PermissionName,
    standing: Option<&Standing>,
) -> PermissionCheck {
    let reason = CheckReason::decide(status, standing);
    let mut check = PermissionCheck {
        permission: name.as_str().to_owned(),
        allowed: reason == CheckReason::Granted,
        reason: convert::check_reason(reason).into(),
        ..PermissionCheck::default()
    };
    match (reason, standing) {
        (CheckReason::Granted, Some(standing)) => {
            check.sources = convert::sources(standing.sources.clone());
        }
        (CheckReason::PermissionMissing, Some(standing)) => {
            check.granting_roles = convert::role_names(standing.granting_roles.clone());
        }
        _ => {}
    }
    check
}

fn parse(context: &Context, request: &CheckPermissionsRequest) -> Result<Question, Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let permissions = list(
        &mut fields,
        "permissions",
        &request.permissions,
        false,
        PermissionName::parse,
    );
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (user_id, permissions, min_revision) {
        (Some(user_id), Some(permissions), Some(min_revision)) => Ok(Question {
            user_id,
            permissions,
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}
