//! Permissions of roles: added and taken. Nobody gives or takes what they do not hold.

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, QueryTrait,
    RelationTrait,
};

use super::{
    Done, Error, Store, audit,
    entity::{permission, role_permission},
    event::{self, kinds},
    grants::{PERMISSIONS, permissions_to_give, returned},
    held::{self, Hold},
    rights::Touched,
    role,
};
use crate::domain::{
    id::{PermissionId, RoleId},
    name::PermissionName,
    refusal::Refusal,
};

impl Store {
    /// Adds permissions to a role and answers how many it did not have.
    ///
    /// # Errors
    /// `RoleNotFound`, `PermissionNotFound`, `BuiltIn`, `GrantExceedsCaller`.
    pub async fn grant_role_permissions(
        &self,
        act: Act,
        role_id: RoleId,
        ids: Vec<PermissionId>,
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        self.write(
            act.on(audit::role(&role_id)),
            Touched::Everybody,
            (role_id, ids),
            move |transaction, scribe, (role_id, ids)| {
                Box::pin(async move {
                    lock_changeable(transaction, role_id).await?;
                    let wanted = permissions_to_give(transaction, ids).await?;
                    // What a role has stays there, so whoever adds it must hold it without end.
                    held::refuse_unless_held(transaction, &scribe.caller, &wanted, Hold::Forever)
                        .await?;
                    let given = add_to_role(transaction, role_id, ids, now).await?;
                    let count = given.len() as u64;
                    if count > 0 {
                        event::role(transaction, kinds::ROLE_CHANGED, role_id);
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

    /// Takes permissions from a role and answers how many it had.
    ///
    /// # Errors
    /// `RoleNotFound`, `BuiltIn`, `GrantExceedsCaller`.
    pub async fn revoke_role_permissions(
        &self,
        act: Act,
        role_id: RoleId,
        ids: Vec<PermissionId>,
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        self.write(
            act.on(audit::role(&role_id)),
            Touched::Everybody,
            (role_id, ids),
            move |transaction, scribe, (role_id, ids)| {
                Box::pin(async move {
                    lock_changeable(transaction, role_id).await?;
                    let had = permissions_to_take(transaction, role_id, ids).await?;
                    held::refuse_unless_held(transaction, &scribe.caller, &had, Hold::At(now))
                        .await?;
                    let mut delete = role_permission::Entity::delete_many()
                        .filter(role_permission::Column::RoleId.eq(role_id.as_str()))
                        .filter(
                            role_permission::Column::PermissionId
                                .is_in(ids.iter().map(PermissionId::as_str)),
                        )
                        .into_query();
                    delete.returning_col(role_permission::Column::PermissionId);
                    let taken = returned(transaction, &delete, "permission_id").await?;
                    let count = taken.len() as u64;
                    if count > 0 {
                        event::role(transaction, kinds::ROLE_CHANGED, role_id);
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
}

/// Adds permissions that were checked, and answers those that the role did not have.
pub(super) async fn add_to_role(
    transaction: &WriteTransaction,
    role_id: &RoleId,
    ids: &[PermissionId],
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    let rows = ids.iter().map(|id| role_permission::ActiveModel {
        role_id: Set(role_id.as_str().to_owned()),
        permission_id: Set(id.as_str().to_owned()),
        created_at: Set(now.as_micros()),
    });
    let insert = role_permission::Entity::insert_many(rows).on_conflict_do_nothing();
    let mut insert = insert.into_query();
    insert.returning_col(role_permission::Column::PermissionId);
    returned(transaction, &insert, "permission_id").await
}

async fn lock_changeable(transaction: &WriteTransaction, id: &RoleId) -> Result<(), Error> {
    if role::lock(transaction, id).await?.built_in {
        return Err(Refusal::BuiltIn.into());
    }
    Ok(())
}

/// The names of those of the permissions that a locked role has.
async fn permissions_to_take(
    transaction: &WriteTransaction,
    role_id: &RoleId,
    ids: &[PermissionId],
) -> Result<Vec<PermissionName>, Error> {
    let rows = permission::Entity::find()
        .join(
            JoinType::InnerJoin,
            role_permission::Relation::Permission.def().rev(),
        )
        .filter(role_permission::Column::RoleId.eq(role_id.as_str()))
        .filter(permission::Column::Id.is_in(ids.iter().map(PermissionId::as_str)))
        .all(transaction)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| PermissionName::stored(row.name))
        .collect())
}
