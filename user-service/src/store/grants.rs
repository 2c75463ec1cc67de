//! Giving and taking: roles and permissions of users. Nobody gives what they do not hold, or acts on somebody who
//! holds more.

mod checks;

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, StatementBuilder,
    sea_query::{Expr, IntoIden, OnConflict},
};

use self::checks::{count_permissions, count_roles};
pub(super) use self::checks::{lock_roles, permissions_to_give};
use super::{
    Done, Error, Store, administrators, audit,
    entity::{role, user_permission, user_role},
    event::{self, kinds},
    held::{self, Hold},
    rights::Touched,
};
use crate::domain::{
    access::{AssignedRole, Given},
    id::{PermissionId, RoleId, UserId},
    page::{NameCursor, Page},
    refusal::Refusal,
};

/// The fields of a user or role, as the audit log names them.
pub(super) const ROLES: &str = "role_ids";
pub(super) const PERMISSIONS: &str = "permission_ids";

impl Store {
    /// Gives roles to a user, until `ends_at` where they are to end by themselves; what the user has gets that end too.
    ///
    /// # Errors
    /// `UserNotFound`, `RoleNotFound`, `GrantExceedsCaller`, `TooManyRoles`, `LastAdministrator`.
    pub async fn assign_roles(
        &self,
        act: Act,
        user_id: UserId,
        role_ids: Vec<RoleId>,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Done<Given>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, role_ids),
            move |transaction, scribe, (user_id, role_ids)| {
                Box::pin(async move {
                    // Only an end takes an administrator away. Roles before the user, as every transaction that locks
                    // both does.
                    let admin = match ends_at {
                        Some(_) => Some(administrators::lock(transaction).await?),
                        None => None,
                    };
                    let found = lock_roles(transaction, role_ids).await?;
                    let user =
                        held::lock_inferior(transaction, &scribe.caller, user_id, now).await?;
                    if let Some(missing) = role_ids
                        .iter()
                        .find(|id| !found.iter().any(|role| role.id == **id))
                    {
                        return Err(Refusal::RoleNotFound(missing.clone()).into());
                    }
                    let hold = Hold::to_give(ends_at);
                    held::refuse_more_than_held(transaction, &scribe.caller, &found, hold).await?;
                    if let Some(admin) = admin.filter(|admin| role_ids.contains(admin)) {
                        administrators::spare_the_last(transaction, &admin, &user).await?;
                    }
                    let had = count_roles(transaction, user_id, role_ids, now).await?;
                    let rows = role_ids.iter().map(|role_id| user_role::ActiveModel {
                        user_id: Set(user_id.as_str().to_owned()),
                        role_id: Set(role_id.as_str().to_owned()),
                        created_at: Set(now.as_micros()),
                        ends_at: Set(ends_at.map(Timestamp::as_micros)),
                    });
                    let written = put_roles(transaction, rows).await?;
                    let given = given(written.len(), role_ids.len(), had);
                    if !written.is_empty() {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, user_id);
                        scribe.done(transaction, gave(ROLES, written, ends_at));
                    }
                    Ok(given)
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
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, role_ids),
            move |transaction, scribe, (user_id, role_ids)| {
                Box::pin(async move {
                    let admin = administrators::lock(transaction).await?;
                    let user =
                        held::lock_inferior(transaction, &scribe.caller, user_id, now).await?;
                    if role_ids.contains(&admin) {
                        administrators::spare_the_last(transaction, &admin, &user).await?;
                    }
                    let had = user_role::Entity::find()
                        .filter(user_role::Column::UserId.eq(user_id.as_str()))
                        .filter(
                            user_role::Column::RoleId.is_in(role_ids.iter().map(RoleId::as_str)),
                        )
                        .filter(has_role_at(now))
                        .count(transaction)
                        .await?;
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
                    // What had ended goes too, and counts for nothing.
                    Ok(had)
                })
            },
        )
        .await
    }

    /// Gives permissions to a user directly, until `ends_at` where they are to end by themselves; what the user has so
    /// gets that end too.
    ///
    /// # Errors
    /// `UserNotFound`, `PermissionNotFound`, `GrantExceedsCaller`, `TooManyPermissions`.
    pub async fn grant_user_permissions(
        &self,
        act: Act,
        user_id: UserId,
        ids: Vec<PermissionId>,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Done<Given>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, ids),
            move |transaction, scribe, (user_id, ids)| {
                Box::pin(async move {
                    held::lock_inferior(transaction, &scribe.caller, user_id, now).await?;
                    let wanted = permissions_to_give(transaction, ids).await?;
                    let hold = Hold::to_give(ends_at);
                    held::refuse_unless_held(transaction, &scribe.caller, &wanted, hold).await?;
                    let had = count_permissions(transaction, user_id, ids, now).await?;
                    let rows = ids.iter().map(|id| user_permission::ActiveModel {
                        user_id: Set(user_id.as_str().to_owned()),
                        permission_id: Set(id.as_str().to_owned()),
                        created_at: Set(now.as_micros()),
                        ends_at: Set(ends_at.map(Timestamp::as_micros)),
                    });
                    let insert = user_permission::Entity::insert_many(rows).on_conflict(upsert(
                        [
                            user_permission::Column::UserId,
                            user_permission::Column::PermissionId,
                        ],
                        [
                            user_permission::Column::CreatedAt,
                            user_permission::Column::EndsAt,
                        ],
                        "user_permissions.ends_at IS DISTINCT FROM excluded.ends_at",
                    ));
                    let mut insert = insert.into_query();
                    insert.returning_col(user_permission::Column::PermissionId);
                    let written = returned(transaction, &insert, "permission_id").await?;
                    let given = given(written.len(), ids.len(), had);
                    if !written.is_empty() {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, user_id);
                        scribe.done(transaction, gave(PERMISSIONS, written, ends_at));
                    }
                    Ok(given)
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
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        let touched = Touched::User(user_id.clone());
        self.write(
            act.on(audit::user(&user_id)),
            touched,
            (user_id, ids),
            move |transaction, scribe, (user_id, ids)| {
                Box::pin(async move {
                    held::lock_inferior(transaction, &scribe.caller, user_id, now).await?;
                    let had = user_permission::Entity::find()
                        .filter(user_permission::Column::UserId.eq(user_id.as_str()))
                        .filter(
                            user_permission::Column::PermissionId
                                .is_in(ids.iter().map(PermissionId::as_str)),
                        )
                        .filter(has_permission_at(now))
                        .count(transaction)
                        .await?;
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
                    // What had ended goes too, and counts for nothing.
                    Ok(had)
                })
            },
        )
        .await
    }

    /// A page of at most `size` roles that a user has at `now`, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_user_roles(
        &self,
        user_id: &UserId,
        after: Option<&NameCursor>,
        size: u64,
        now: Timestamp,
    ) -> Result<Page<AssignedRole, NameCursor>, Error> {
        let mut query = user_role::Entity::find()
            .find_also_related(role::Entity)
            .filter(user_role::Column::UserId.eq(user_id.as_str()))
            .filter(has_role_at(now))
            .order_by_asc(role::Column::Name)
            .limit(size + 1);
        if let Some(cursor) = after {
            query = query.filter(role::Column::Name.gt(cursor.name.as_str()));
        }
        let rows = query.all(self.database.reader()).await?;
        let items = rows
            .into_iter()
            .filter_map(|(assignment, role)| {
                Some(AssignedRole {
                    role: role?.into(),
                    ends_at: assignment.ends_at.map(Timestamp::from_micros),
                })
            })
            .collect();
        Ok(Page::cut(items, size, |assigned: &AssignedRole| {
            NameCursor {
                name: assigned.role.name.as_str().to_owned(),
            }
        }))
    }
}

/// Writes assignments that were checked, and answers the role of each that is new or has another end now.
pub(super) async fn put_roles(
    transaction: &WriteTransaction,
    rows: impl IntoIterator<Item = user_role::ActiveModel>,
) -> Result<Vec<String>, Error> {
    let insert = user_role::Entity::insert_many(rows).on_conflict(upsert(
        [user_role::Column::UserId, user_role::Column::RoleId],
        [user_role::Column::CreatedAt, user_role::Column::EndsAt],
        "user_roles.ends_at IS DISTINCT FROM excluded.ends_at",
    ));
    let mut insert = insert.into_query();
    insert.returning_col(user_role::Column::RoleId);
    returned(transaction, &insert, "role_id").await
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

/// Whether a row of the roles of users has not ended.
pub(super) fn has_role_at(now: Timestamp) -> Condition {
    Condition::any()
        .add(user_role::Column::EndsAt.is_null())
        .add(user_role::Column::EndsAt.gt(now.as_micros()))
}

/// Whether a row of the direct permissions of users has not ended.
pub(super) fn has_permission_at(now: Timestamp) -> Condition {
    Condition::any()
        .add(user_permission::Column::EndsAt.is_null())
        .add(user_permission::Column::EndsAt.gt(now.as_micros()))
}

/// Where a row is there, it gets the new end, unless that is the one it has.
fn upsert<C: IntoIden, const N: usize>(
    keys: [C; N],
    values: [C; N],
    differs: &'static str,
) -> OnConflict {
    OnConflict::columns(keys)
        .update_columns(values)
        .action_and_where(Expr::cust(differs))
        .to_owned()
}

/// What a write of `all` rows that changed `written` of them has given to a user who had `had` of them.
fn given(written: usize, all: usize, had: u64) -> Given {
    let new = (all as u64).saturating_sub(had);
    Given {
        new,
        changed: (written as u64).saturating_sub(new),
    }
}

/// What the audit log says of something that was given, perhaps until an end.
pub(super) fn gave(field: &str, ids: Vec<String>, ends_at: Option<Timestamp>) -> Record {
    let record = Record::default().changed(field, None::<String>, ids);
    match ends_at {
        Some(end) => record.fact("ends_at_micros", end.as_micros().to_string()),
        None => record,
    }
}
