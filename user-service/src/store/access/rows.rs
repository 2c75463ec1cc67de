//! What is read of a user's access, from its rows to the domain.

use identity_kit::{clock::Timestamp, database::StoreError, position::Position};
use sea_orm::FromQueryResult;

use super::{
    super::{corrupt, credential::version, entity::user},
    FullUser,
};
use crate::domain::{
    access::{AccessSnapshot, CurrentPlan, DirectGrant, RoleGrant},
    credential::{Credential, PasswordHash, forbidden_passwords},
    id::{PermissionId, RoleId, UserId},
    name::{PermissionName, RoleName},
    plan::PlanName,
    user::UserStatus,
};

#[derive(FromQueryResult)]
pub(super) struct FullRow {
    #[sea_orm(nested)]
    user: user::Model,
    roles: Option<String>,
    permissions: Option<String>,
    plan: Option<String>,
    plan_ends_at: Option<i64>,
    epoch: String,
    revision: i64,
}

#[derive(FromQueryResult)]
pub(super) struct AccessRow {
    id: String,
    status: String,
    roles: Option<String>,
    direct: Option<String>,
    permissions: Option<String>,
    plan: Option<String>,
    plan_ends_at: Option<i64>,
    epoch: String,
    revision: i64,
}

#[derive(FromQueryResult)]
pub(super) struct CredentialRow {
    #[sea_orm(nested)]
    access: AccessRow,
    username: String,
    email: String,
    first_name: String,
    last_name: String,
    password_hash: Option<String>,
    change_required: bool,
    credential_version: i64,
}

#[derive(FromQueryResult)]
pub(super) struct RightsRow {
    pub(super) status: String,
    pub(super) permissions: Option<String>,
    pub(super) until: Option<i64>,
}

impl TryFrom<FullRow> for FullUser {
    type Error = StoreError;

    fn try_from(row: FullRow) -> Result<Self, StoreError> {
        Ok(Self {
            user: row.user.try_into()?,
            roles: grants(row.roles.as_deref())?
                .into_iter()
                .map(|grant| RoleName::stored(grant.name))
                .collect(),
            permissions: names(row.permissions.as_deref()),
            plan: plan(row.plan, row.plan_ends_at),
            position: position(row.epoch, row.revision)?,
        })
    }
}

impl TryFrom<AccessRow> for AccessSnapshot {
    type Error = StoreError;

    fn try_from(row: AccessRow) -> Result<Self, StoreError> {
        let roles = grants(row.roles.as_deref())?;
        let direct = grants(row.direct.as_deref())?;
        Ok(Self {
            user_id: UserId::stored(row.id),
            status: status(&row.status)?,
            roles: roles
                .into_iter()
                .map(|grant| RoleGrant {
                    id: RoleId::stored(grant.id),
                    name: RoleName::stored(grant.name),
                    ends_at: grant.ends_at,
                })
                .collect(),
            direct: direct
                .into_iter()
                .map(|grant| DirectGrant {
                    id: PermissionId::stored(grant.id),
                    name: PermissionName::stored(grant.name),
                    ends_at: grant.ends_at,
                })
                .collect(),
            effective: names(row.permissions.as_deref()),
            plan: plan(row.plan, row.plan_ends_at),
            position: position(row.epoch, row.revision)?,
        })
    }
}

impl TryFrom<CredentialRow> for Credential {
    type Error = StoreError;

    fn try_from(row: CredentialRow) -> Result<Self, StoreError> {
        Ok(Self {
            hash: row.password_hash.map(PasswordHash::stored),
            change_required: row.change_required,
            version: version(row.credential_version)?,
            access: row.access.try_into()?,
            forbidden: forbidden_passwords(
                &row.username,
                &row.email,
                &row.first_name,
                &row.last_name,
            ),
        })
    }
}

/// A role or a direct permission of a user as it is read.
struct Grant {
    id: String,
    name: String,
    ends_at: Option<Timestamp>,
}

/// The parts of `id name end,id name end`, sorted by name.
fn grants(joined: Option<&str>) -> Result<Vec<Grant>, StoreError> {
    let mut grants = Vec::new();
    for grant in joined.unwrap_or_default().split_terminator(',') {
        let mut parts = grant.splitn(3, ' ');
        let (Some(id), Some(name), Some(end)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(corrupt("a grant has no name or no end"));
        };
        grants.push(Grant {
            id: id.to_owned(),
            name: name.to_owned(),
            ends_at: end_of(end)?,
        });
    }
    grants.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(grants)
}

/// An end as it stands in a joined text: microseconds, or nothing.
pub(in super::super) fn end_of(text: &str) -> Result<Option<Timestamp>, StoreError> {
    if text.is_empty() {
        return Ok(None);
    }
    let micros = text
        .parse()
        .map_err(|_| corrupt("an end is not a number"))?;
    Ok(Some(Timestamp::from_micros(micros)))
}

/// The parts of `name,name`, sorted, each once.
pub(in super::super) fn names(joined: Option<&str>) -> Vec<PermissionName> {
    let mut names: Vec<_> = joined
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| PermissionName::stored(name.to_owned()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn plan(name: Option<String>, ends_at: Option<i64>) -> Option<CurrentPlan> {
    name.map(|name| CurrentPlan {
        name: PlanName::stored(name),
        ends_at: ends_at.map(Timestamp::from_micros),
    })
}

pub(super) fn status(name: &str) -> Result<UserStatus, StoreError> {
    UserStatus::from_stored(name).ok_or_else(|| corrupt("a user has an unknown status"))
}

fn position(epoch: String, revision: i64) -> Result<Position, StoreError> {
    let revision =
        u64::try_from(revision).map_err(|_| corrupt("the feed has a negative revision"))?;
    Ok(Position::new(epoch, revision))
}
