//! Giving and taking: roles and permissions of users. Nobody gives what they do not hold, or acts on somebody who
//! holds more.

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationTrait, StatementBuilder,
};

use super::{
    Done, Error, Store, administrators, audit,
    entity::{permission, role, user_permission, user_role},
    event::{self, kinds},
    held,
    rights::Touched,
};
use crate::domain::{
    access::{MAX_DIRECT_PERMISSIONS, MAX_ROLES},
    id::{PermissionId, RoleId, UserId},
    name::PermissionName,
    page::{NameCursor, Page},
    refusal::Refusal,
    role::Role,
};

/// The fields of a user or role, as the audit log names them.
pub(super) const ROLES: &str = "role_ids";
pub(super) const PERMISSIONS: &str = "permission_ids";

impl Store {
    /// Gives roles to a user and answers how many the user did not have.
    ///
    /// # Errors
    /// `UserNotFound`, `RoleNotFound`, `GrantExceedsCaller`, `TooManyRoles`.
    pub async fn assign_roles(
        &self,
        act: Act,
        user_id: UserId,
        role_ids: Vec<RoleId>,
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, role_ids),
            move |transaction, scribe, (user_id, role_ids)| {
                Box::pin(async move {
                    // Roles before the user, as every transaction that locks both does.
                    let found = lock_roles(transaction, role_ids).await?;
                    held::lock_inferior(transaction, &scribe.caller, user_id).await?;
                    if let Some(missing) = role_ids
                        .iter()
                        .find(|id| !found.iter().any(|role| role.id == **id))
                    {
                        return Err(Refusal::RoleNotFound(missing.clone()).into());
                    }
                    held::refuse_more_than_held(transaction, &scribe.caller, &found).await?;
                    refuse_too_many_roles(transaction, user_id, role_ids).await?;
                    let rows = role_ids.iter().map(|role_id| user_role::ActiveModel {
                        user_id: Set(user_id.as_str().to_owned()),
                        role_id: Set(role_id.as_str().to_owned()),
                        created_at: Set(now.as_micros()),
                    });
                    let insert = user_role::Entity::insert_many(rows).on_conflict_do_nothing();
                    let mut insert = insert.into_query();
                    insert.returning_col(user_role::Column::RoleId);
                    let given = returned(transaction, &insert, "role_id").await?;
                    let count = given.len() as u64;
                    if count > 0 {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, user_id);
                        let record = Record::default();
                        scribe.done(transaction, record.changed(ROLES, None::<String>, given));
                    }
                    Ok(count)
                })
            },
        )
        .await
    }

    /// Takes roles from a user and answers how many the user had.
    ///
    /// # Errors
    /// `UserNotFound`, `GrantExceedsCaller`, `LastAdministrator`.
    pub async fn unassign_roles(
        &self,
        act: Act,
        user_id: UserId,
        role_ids: Vec<RoleId>,
    ) -> Result<Done<u64>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, role_ids),
            |transaction, scribe, (user_id, role_ids)| {
                Box::pin(async move {
                    let admin = administrators::lock(transaction).await?;
                    let user = held::lock_inferior(transaction, &scribe.caller, user_id).await?;
                    if role_ids.contains(&admin) {
                        administrators::spare_the_last(transaction, &admin, &user).await?;
                    }
                    let mut delete = user_role::Entity::delete_many()
                        .filter(user_role::Column::UserId.eq(user_id.as_str()))
                        .filter(
                            user_role::Column::RoleId.is_in(role_ids.iter().map(RoleId::as_str)),
                        )
                        .into_query();
                    delete.returning_col(user_role::Column::RoleId);
                    let taken = returned(transaction, &delete, "role_id").await?;
                    let count = taken.len() as u64;
                    if count > 0 {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, user_id);
                        let record = Record::default();
                        scribe.done(transaction, record.changed(ROLES, taken, None::<String>));
                    }
                    Ok(count)
                })
            },
        )
        .await
    }

    /// Gives permissions to a user directly and answers how many the user did not have so.
    ///
    /// # Errors
    /// `UserNotFound`, `PermissionNotFound`, `GrantExceedsCaller`, `TooManyPermissions`.
    pub async fn grant_user_permissions(
        &self,
        act: Act,
        user_id: UserId,
        ids: Vec<PermissionId>,
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, ids),
            move |transaction, scribe, (user_id, ids)| {
                Box::pin(async move {
                    held::lock_inferior(transaction, &scribe.caller, user_id).await?;
                    let wanted = permissions_to_give(transaction, ids).await?;
                    held::refuse_unless_held(transaction, &scribe.caller, &wanted).await?;
                    refuse_too_many_permissions(transaction, user_id, ids).await?;
                    let rows = ids.iter().map(|id| user_permission::ActiveModel {
                        user_id: Set(user_id.as_str().to_owned()),
                        permission_id: Set(id.as_str().to_owned()),
                        created_at: Set(now.as_micros()),
                    });
                    let insert =
                        user_permission::Entity::insert_many(rows).on_conflict_do_nothing();
                    let mut insert = insert.into_query();
                    insert.returning_col(user_permission::Column::PermissionId);
                    let given = returned(transaction, &insert, "permission_id").await?;
                    let count = given.len() as u64;
                    if count > 0 {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, user_id);
                        let record = Record::default();
                        let record = record.changed(PERMISSIONS, None::<String>, given);
                        scribe.done(transaction, record);
                    }
                    Ok(count)
                })
            },
        )
        .await
    }

    /// Takes direct permissions from a user and answers how many the user had so.
    ///
    /// # Errors
    /// `UserNotFound`, `GrantExceedsCaller`.
    pub async fn revoke_user_permissions(
        &self,
        act: Act,
        user_id: UserId,
        ids: Vec<PermissionId>,
    ) -> Result<Done<u64>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, ids),
            |transaction, scribe, (user_id, ids)| {
                Box::pin(async move {
                    held::lock_inferior(transaction, &scribe.caller, user_id).await?;
                    let mut delete = user_permission::Entity::delete_many()
                        .filter(user_permission::Column::UserId.eq(user_id.as_str()))
                        .filter(
                            user_permission::Column::PermissionId
                                .is_in(ids.iter().map(PermissionId::as_str)),
                        )
                        .into_query();
                    delete.returning_col(user_permission::Column::PermissionId);
                    let taken = returned(transaction, &delete, "permission_id").await?;
                    let count = taken.len() as u64;
                    if count > 0 {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, user_id);
                        let record = Record::default();
                        let record = record.changed(PERMISSIONS, taken, None::<String>);
                        scribe.done(transaction, record);
                    }
                    Ok(count)
                })
            },
        )
        .await
    }

    /// A page of at most `size` roles of a user, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_user_roles(
        &self,
        user_id: &UserId,
        after: Option<&NameCursor>,
        size: u64,
    ) -> Result<Page<Role, NameCursor>, Error> {
        let mut query = role::Entity::find()
            .join(JoinType::InnerJoin, user_role::Relation::Role.def().rev())
            .filter(user_role::Column::UserId.eq(user_id.as_str()))
            .order_by_asc(role::Column::Name)
            .limit(size + 1);
        if let Some(cursor) = after {
            query = query.filter(role::Column::Name.gt(cursor.name.as_str()));
        }
        let rows = query.all(self.database.reader()).await?;
        let items = rows.into_iter().map(Role::from).collect();
        Ok(Page::cut(items, size, |role: &Role| NameCursor {
            name: role.name.as_str().to_owned(),
        }))
    }
}

/// Runs an insertion or a deletion, and answers the ids in a column of the rows that it made or took.
pub(super) async fn returned(
    transaction: &WriteTransaction,
    statement: &impl StatementBuilder,
    column: &str,
) -> Result<Vec<String>, Error> {
    let statement = transaction.get_database_backend().build(statement);
    let rows = transaction.query_all_raw(statement).await?;
    Ok(rows
        .iter()
        .map(|row| row.try_get("", column))
        .collect::<Result<_, _>>()?)
}

/// Refuses when the user, whose row is locked, would have more roles than a user can have.
async fn refuse_too_many_roles(
    transaction: &WriteTransaction,
    user_id: &UserId,
    added: &[RoleId],
) -> Result<(), Error> {
    let others = user_role::Entity::find()
        .filter(user_role::Column::UserId.eq(user_id.as_str()))
        .filter(user_role::Column::RoleId.is_not_in(added.iter().map(RoleId::as_str)))
        .count(transaction)
        .await?;
    if others + added.len() as u64 > MAX_ROLES {
        return Err(Refusal::TooManyRoles(user_id.clone()).into());
    }
    Ok(())
}

/// Refuses when the user, whose row is locked, would have more direct permissions than a user can have.
async fn refuse_too_many_permissions(
    transaction: &WriteTransaction,
    user_id: &UserId,
    added: &[PermissionId],
) -> Result<(), Error> {
    let others = user_permission::Entity::find()
        .filter(user_permission::Column::UserId.eq(user_id.as_str()))
        .filter(
            user_permission::Column::PermissionId.is_not_in(added.iter().map(PermissionId::as_str)),
        )
        .count(transaction)
        .await?;
    if others + added.len() as u64 > MAX_DIRECT_PERMISSIONS {
        return Err(Refusal::TooManyPermissions(user_id.clone()).into());
    }
    Ok(())
}

/// The roles that exist, which stay until the transaction ends; always locked in one order.
async fn lock_roles(transaction: &WriteTransaction, ids: &[RoleId]) -> Result<Vec<Role>, Error> {
    let rows = role::Entity::find()
        .filter(role::Column::Id.is_in(ids.iter().map(RoleId::as_str)))
        .order_by_asc(role::Column::Id)
        .lock_shared()
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(Role::from).collect())
}

/// The names of permissions that are to be given, which stay until the transaction ends.
pub(super) async fn permissions_to_give(
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
