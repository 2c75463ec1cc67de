//! Wire to domain for the answers of user-service.

use identity_guard::position::Position;
use identity_proto::user::v1 as wire;

use super::DirectoryError;
use crate::domain::{
    account::{
        AccessSnapshot, AccountStatus, Credential, Grant, PasswordChangeCause, PasswordHash,
    },
    id::UserId,
};

/// A login's answer.
pub(super) fn credential(
    mut response: wire::GetCredentialResponse,
) -> Result<Credential, DirectoryError> {
    let hash = std::mem::take(&mut response.password_hash);
    Ok(Credential {
        password_hash: PasswordHash::from_phc(hash),
        password_change_required: response.password_change_required,
        version: response.credential_version,
        access: access(response.access.take())?,
        forbidden_passwords: std::mem::take(&mut response.forbidden_passwords),
    })
}

/// Status and rights.
pub(super) fn access(
    snapshot: Option<wire::AccessSnapshot>,
) -> Result<AccessSnapshot, DirectoryError> {
    let snapshot = snapshot.ok_or_else(|| incomplete("access"))?;
    let status = match snapshot.status() {
        wire::UserStatus::Active => AccountStatus::Active,
        wire::UserStatus::Inactive => AccountStatus::Inactive,
        wire::UserStatus::Suspended => AccountStatus::Suspended,
        wire::UserStatus::Unspecified => return Err(incomplete("status")),
    };
    let position = position(snapshot.position)?;
    Ok(AccessSnapshot {
        user_id: UserId::trusted(snapshot.user_id),
        status,
        roles: sorted(
            snapshot
                .roles
                .into_iter()
                .map(|grant| (grant.name, grant.until_time)),
        ),
        direct_permissions: sorted(
            snapshot
                .direct_permissions
                .into_iter()
                .map(|grant| (grant.name, grant.until_time)),
        ),
        effective_permissions: snapshot.effective_permissions,
        position,
    })
}

/// A place in the user feed.
fn position(position: Option<wire::UserFeedPosition>) -> Result<Position, DirectoryError> {
    let position = position
        .filter(|position| !position.epoch.is_empty())
        .ok_or_else(|| incomplete("position"))?;
    Ok(Position::new(position.epoch, position.revision))
}

/// The wire's name of a cause.
pub(super) fn cause(cause: PasswordChangeCause) -> wire::PasswordChangeCause {
    match cause {
        PasswordChangeCause::Rehash => wire::PasswordChangeCause::Rehash,
        PasswordChangeCause::Change => wire::PasswordChangeCause::Change,
    }
}

fn sorted(grants: impl Iterator<Item = (String, Option<prost_types::Timestamp>)>) -> Vec<Grant> {
    let mut grants: Vec<_> = grants
        .map(|(name, until)| Grant {
            name,
            ends_at: until.map(Into::into),
        })
        .collect();
    grants.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    grants
}

fn incomplete(field: &str) -> DirectoryError {
    DirectoryError::Refused(format!("an answer without {field}"))
}

#[cfg(test)]
mod tests {
    use identity_proto::user::v1 as wire;

    use super::access;

    fn snapshot() -> wire::AccessSnapshot {
        wire::AccessSnapshot {
            user_id: "u".to_owned(),
            status: wire::UserStatus::Active.into(),
            position: Some(wire::UserFeedPosition {
                epoch: "e".to_owned(),
                revision: 1,
            }),
            ..wire::AccessSnapshot::default()
        }
    }

    #[test]
    fn an_incomplete_answer_is_never_taken_for_rights() {
        assert!(access(Some(snapshot())).is_ok());
        assert!(access(None).is_err());
        let unknown_status = wire::AccessSnapshot {
            status: 99,
            ..snapshot()
        };
        assert!(access(Some(unknown_status)).is_err());
        let no_position = wire::AccessSnapshot {
            position: None,
            ..snapshot()
        };
        assert!(access(Some(no_position)).is_err());
    }
}
