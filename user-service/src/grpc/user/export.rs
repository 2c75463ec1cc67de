//! Reads everything that is held about one person.

use identity_kit::{position::Position, status::Failure, violations::Violations};
use identity_proto::user::v1::{
    ExportUserRequest, ExportUserResponse, ExportedGrant, ExportedImport,
};
use tonic::Request;

use super::super::{context::Context, convert, fields::failure};
use crate::domain::{export::PersonalData, id::UserId, refusal::Refusal};

pub(super) async fn handle(
    context: &Context,
    request: Request<ExportUserRequest>,
) -> Result<ExportUserResponse, Failure> {
    let (id, min_revision) = parse(context, request.get_ref())?;
    context.reach(min_revision.as_ref()).await?;
    let found = context.store.find_personal_data(&id).await?;
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
    let grant = |name, at| ExportedGrant {
        name,
        create_time: convert::time(at),
    };
    let roles = data.roles.into_iter();
    let direct = data.direct.into_iter();
    let imports = data.imports.into_iter();
    Ok(ExportUserResponse {
        revision: context.revision(&data.position),
        user: Some(convert::user(data.user)),
        user_type: data.user_type.into_string(),
        roles: roles
            .map(|(name, at)| grant(name.into_string(), at))
            .collect(),
        direct_permissions: direct
            .map(|(name, at)| grant(name.into_string(), at))
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
        remembered_requests: convert::count(data.remembered_requests)?,
    })
}
