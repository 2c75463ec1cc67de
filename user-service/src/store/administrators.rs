//! The last administrator: no change may leave nobody in an active account with the role that holds everything, given
//! without an end. Whoever has it only until some moment does not count: that moment would leave nobody.

use identity_kit::database::WriteTransaction;
use sea_orm::{
    ColumnTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QuerySelect, RelationTrait,
};

use super::{
    corrupt,
    entity::{role, user, user_role},
    error::Error,
};
use crate::domain::{
    id::{RoleId, UserId},
    refusal::Refusal,
    user::{User, UserStatus},
};

/// The role that holds everything, locked until the transaction ends.
///
/// Every transaction that can take an administrator away begins here, so that two of them are one after the other
/// and each counts what the other left. `SQLite` writes one after the other anyway.
pub(super) async fn lock(transaction: &WriteTransaction) -> Result<RoleId, Error> {
    let row = role::Entity::find()
        .filter(role::Column::BuiltIn.eq(true))
        .lock_exclusive()
        .one(transaction)
        .await?
        .ok_or_else(|| corrupt("there is no role admin"))?;
    Ok(RoleId::stored(row.id))
}

/// Refuses when the user is the last administrator; the role must be locked.
pub(super) async fn spare_the_last(
    transaction: &WriteTransaction,
    admin: &RoleId,
    user: &User,
) -> Result<(), Error> {
    if user.status != UserStatus::Active || !has(transaction, admin, &user.id).await? {
        return Ok(());
    }
    if count_others(transaction, admin, [user.id.as_str()]).await? == 0 {
        Err(Refusal::LastAdministrator.into())
    } else {
        Ok(())
    }
}

/// How many there are, one at most, who are active and have the role without an end, beside these users.
pub(super) async fn count_others(
    transaction: &WriteTransaction,
    admin: &RoleId,
    users: impl IntoIterator<Item = &str>,
) -> Result<u64, Error> {
    Ok(user_role::Entity::find()
        .join(JoinType::InnerJoin, user_role::Relation::User.def())
        .filter(user_role::Column::RoleId.eq(admin.as_str()))
        .filter(user_role::Column::UserId.is_not_in(users))
        .filter(user_role::Column::EndsAt.is_null())
        .filter(user::Column::Status.eq(UserStatus::Active.as_str()))
        .limit(1)
        .count(transaction)
        .await?)
}

/// Whether a user has the role without an end.
async fn has(transaction: &WriteTransaction, admin: &RoleId, user: &UserId) -> Result<bool, Error> {
    let row = user_role::Entity::find_by_id((user.as_str().to_owned(), admin.as_str().to_owned()))
        .one(transaction)
        .await?;
    Ok(row.is_some_and(|row| row.ends_at.is_none()))
}
