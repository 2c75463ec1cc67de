//! Reads everything that is held about one person.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{
    ExportUserRequest, ExportUserResponse, ExportedGrant, ExportedImport,
};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::domain::{
    email::Email,
    export::{Given, PersonalData},
    id::UserId,
    name::{PermissionName, RoleName},
    refusal::Refusal,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<ExportUserRequest>,
) -> Result<ExportUserResponse, Failure> {
    let (id, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context.store.find_personal_data(&id, context.now()).await?;
    let found = found.ok_or_else(|| Refusal::UserNotFound(id.into_string()))?;
    render(context, found)
}

fn parse(
    context: &Context,
    request: &ExportUserRequest,
) -> Result<(UserId, Option<Position>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_id", UserId::parse(&request.user_id));
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (id, min_revision) {
        (Some(id), Some(min_revision)) => Ok((id, min_revision)),
        _ => Err(failure(fields)),
    }
}

fn render(context: &Context, data: PersonalData) -> Result<ExportUserResponse, Failure> {
    let roles = data.roles.into_iter();
    let direct = data.direct.into_iter();
    let imports = data.imports.into_iter();
    Ok(ExportUserResponse {
        revision: context.revision(&data.position),
        user: Some(convert::user(data.user)),
        user_type: data.user_type.into_string(),
        roles: roles
            .map(|given| grant(given, RoleName::into_string))
            .collect(),
        direct_permissions: direct
            .map(|given| grant(given, PermissionName::into_string))
            .collect(),
        has_password: data.has_password,
        password_change_required: data.change_required,
        password_update_time: convert::time(data.password_updated_at),
        imports: imports
            .map(|import| ExportedImport {
                source: import.source.into_string(),
                external_id: import.external_id.into_string(),
                create_time: convert::time(import.imported_at),
            })
            .collect(),
        subscription: data
            .subscription
            .map(|subscription| convert::subscription(subscription, &context.plans)),
        waiting_email: data
            .waiting_email
            .map_or_else(String::new, Email::into_string),
        remembered_requests: convert::count(data.remembered_requests)?,
    })
}

fn grant<T>(given: Given<T>, name: impl Fn(T) -> String) -> ExportedGrant {
    ExportedGrant {
        name: name(given.name),
        create_time: convert::time(given.given_at),
        expire_time: given.ends_at.and_then(convert::time),
    }
}
