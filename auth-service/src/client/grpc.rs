//! The user directory over gRPC.

use identity_guard::{
    channel::IdentityChannel,
    status::{ErrorReason, reason_of},
};
use identity_proto::user::v1::{
    self as wire, credential_service_client::CredentialServiceClient,
    get_credential_request::Identifier,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{DirectoryError, UserDirectory, Whose, convert};
use crate::domain::{
    account::{AccessSnapshot, Credential, PasswordChange},
    id::UserId,
};

/// user-service's internal service behind a channel that retries, times out and breaks by itself.
#[derive(Clone)]
pub struct GrpcUserDirectory(CredentialServiceClient<IdentityChannel>);

impl GrpcUserDirectory {
    /// Over a channel to user-service's internal listener.
    #[must_use]
    pub fn new(channel: IdentityChannel) -> Self {
        Self(CredentialServiceClient::new(channel))
    }
}

#[tonic::async_trait]
impl UserDirectory for GrpcUserDirectory {
    async fn find_credential(
        &self,
        whose: Whose<'_>,
    ) -> Result<Option<Credential>, DirectoryError> {
        let identifier = match whose {
            Whose::Login(identifier) => Identifier::Login(identifier.as_str().to_owned()),
            Whose::User(user_id) => Identifier::UserId(user_id.as_str().to_owned()),
        };
        let request = wire::GetCredentialRequest {
            identifier: Some(identifier),
        };
        let answer = self.0.clone().get_credential(request).await;
        found(answer)?.map(convert::credential).transpose()
    }

    async fn find_access(
        &self,
        user_id: &UserId,
    ) -> Result<Option<AccessSnapshot>, DirectoryError> {
        let request = wire::GetAccessSnapshotRequest {
            user_id: user_id.as_str().to_owned(),
            // It is read from the database at the time of asking, which is what this service needs.
            min_position: None,
        };
        let answer = self.0.clone().get_access_snapshot(request).await;
        found(answer)?
            .map(|answer| convert::access(answer.access))
            .transpose()
    }

    async fn set_password_hash(&self, change: &PasswordChange) -> Result<(), DirectoryError> {
        let request = wire::SetPasswordHashRequest {
            user_id: change.user_id.as_str().to_owned(),
            password_hash: change.password_hash.as_phc().to_owned(),
            expected_credential_version: change.expected_version,
            operation_id: change.operation_id.clone(),
            cause: convert::cause(change.cause).into(),
            spared_session_id: String::new(),
        };
        let answer = self.0.clone().set_password_hash(request).await;
        found(answer)?.map(drop).ok_or(DirectoryError::UserGone)
    }
}

/// An answer, or none for an unknown user.
fn found<T>(answer: Result<tonic::Response<T>, Status>) -> Result<Option<T>, DirectoryError> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if reason_of(&status) == Some(ErrorReason::UserNotFound) => Ok(None),
        Err(status) => Err(failed(&status)),
    }
}

fn failed(status: &Status) -> DirectoryError {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => DirectoryError::Unavailable {
            retry_after: status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay),
        },
        Code::DeadlineExceeded | Code::Cancelled => DirectoryError::DeadlinePassed,
        Code::Aborted => DirectoryError::Conflict,
        code => DirectoryError::Refused(format!("{code:?}: {}", status.message())),
    }
}
