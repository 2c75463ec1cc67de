//! Sets a password hash if the credential still is as the caller read it.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{
    PasswordChangeCause, SetPasswordHashRequest, SetPasswordHashResponse,
};
use tonic::Request;

use super::super::{
    context::{Context, act},
    convert,
    fields::{choice, failure, optional},
};
use crate::domain::{
    credential::{ChangeCause, HashChange, PasswordHash},
    id::UserId,
    identifier::OperationId,
    problem::Problem,
};

pub(super) async fn handle(
    context: &Context,
    request: Request<SetPasswordHashRequest>,
) -> Result<SetPasswordHashResponse, Failure> {
    let act = act(&request, "SetPasswordHash");
    let change = parse(request.get_ref())?;
    let done = context
        .store
        .set_password_hash(act, change, context.now())
        .await?;
    Ok(SetPasswordHashResponse {
        credential_version: done.value,
        position: Some(convert::position(done.position)),
    })
}

fn parse(request: &SetPasswordHashRequest) -> Result<HashChange, Failure> {
    let mut fields = Violations::new();
    let user_id = fields.take("user_id", UserId::parse(&request.user_id));
    let hash = fields.take("password_hash", PasswordHash::parse(&request.password_hash));
    let operation_id = fields.take("operation_id", OperationId::parse(&request.operation_id));
    let spared = optional(
        &mut fields,
        "spared_session_id",
        &request.spared_session_id,
        OperationId::parse,
    );
    let cause = choice(
        &mut fields,
        "cause",
        request.cause,
        |cause: PasswordChangeCause| match cause {
            PasswordChangeCause::Unspecified => None,
            PasswordChangeCause::Rehash => Some(ChangeCause::Rehash),
            PasswordChangeCause::Change => Some(ChangeCause::Change),
            PasswordChangeCause::Reset => Some(ChangeCause::Reset),
        },
    );
    if cause == Some(None) {
        fields.add("cause", Problem::Empty.to_string());
    }
    match (user_id, hash, operation_id, spared, cause.flatten()) {
        (Some(user_id), Some(hash), Some(operation_id), Some(spared), Some(cause)) => {
            Ok(HashChange {
                user_id,
                hash,
                expected_version: request.expected_credential_version,
                operation_id,
                cause,
                spared_session_id: spared.map(OperationId::into_string),
            })
        }
        _ => Err(failure(fields)),
    }
}
