//! What is looked at before something is given: what there is, and how much the user has.

use identity_kit::{clock::Timestamp, database::WriteTransaction};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    super::{
        Error,
        entity::{permission, role, user_permission, user_role},
    },
    has_permission_at, has_role_at,
};
use crate::domain::{
    access::{MAX_DIRECT_PERMISSIONS, MAX_ROLES},
    id::{PermissionId, RoleId, UserId},
    name::PermissionName,
    refusal::Refusal,
    role::Role,
};

/// How many of the roles the user, whose row is locked, has; refused when the user would have more roles with them than
/// a user can have.
pub(super) async fn count_roles(
    transaction: &WriteTransaction,
    user_id: &UserId,
    added: &[RoleId],
    now: Timestamp,
) -> Result<u64, Error> {
    let held: Vec<String> = user_role::Entity::find()
        .select_only()
        .column(user_role::Column::RoleId)
        .filter(user_role::Column::UserId.eq(user_id.as_str()))
        .filter(has_role_at(now))
        .into_tuple()
        .all(transaction)
        .await?;
    let had = held
        .iter()
        .filter(|id| added.iter().any(|added| added.as_str() == id.as_str()))
        .count();
    if (held.len() - had + added.len()) as u64 > MAX_ROLES {
        return Err(Refusal::TooManyRoles(user_id.clone()).into());
    }
    Ok(had as u64)
}

/// The same for direct permissions.
pub(super) async fn count_permissions(
    transaction: &WriteTransaction,
    user_id: &UserId,
    added: &[PermissionId],
    now: Timestamp,
) -> Result<u64, Error> {
    let held: Vec<String> = user_permission::Entity::find()
        .select_only()
        .column(user_permission::Column::PermissionId)
        .filter(user_permission::Column::UserId.eq(user_id.as_str()))
        .filter(has_permission_at(now))
        .into_tuple()
        .all(transaction)
        .await?;
    let had = held
        .iter()
        .filter(|id| added.iter().any(|added| added.as_str() == id.as_str()))
        .count();
    if (held.len() - had + added.len()) as u64 > MAX_DIRECT_PERMISSIONS {
        return Err(Refusal::TooManyPermissions(user_id.clone()).into());
    }
    Ok(had as u64)
}

/// The roles that exist, which stay until the transaction ends; always locked in one order.
pub(in super::super) async fn lock_roles(
    transaction: &WriteTransaction,
    ids: &[RoleId],
) -> Result<Vec<Role>, Error> {
    let rows = role::Entity::find()
        .filter(role::Column::Id.is_in(ids.iter().map(RoleId::as_str)))
        .order_by_asc(role::Column::Id)
        .lock_shared()
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(Role::from).collect())
}

/// The names of permissions that are to be given, which stay until the transaction ends.
pub(in super::super) async fn permissions_to_give(
    transaction: &WriteTransaction,
    ids: &[PermissionId],
) -> Result<Vec<PermissionName>, Error> {
    let rows = permission::Entity::find()
        .filter(permission::Column::Id.is_in(ids.iter().map(PermissionId::as_str)))
        .order_by_asc(permission::Column::Id)
        .lock_shared()
        .all(transaction)
        .await?;
    if let Some(missing) = ids
        .iter()
        .find(|id| !rows.iter().any(|row| row.id == id.as_str()))
    {
        return Err(Refusal::PermissionNotFound(missing.clone()).into());
    }
    Ok(rows
        .into_iter()
        .map(|row| PermissionName::stored(row.name))
        .collect())
}
