//! Nobody gives what they do not hold: decided inside the transaction that gives.

use identity_kit::database::WriteTransaction;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect,
    RelationTrait, Statement, Value,
};

use super::{
    Error,
    entity::{permission, role, role_permission},
};
use crate::domain::{id::UserId, name::PermissionName, refusal::Refusal};

/// What an active caller holds, read inside the transaction that gives it on.
struct Held {
    administrator: bool,
    permissions: Vec<String>,
}

#[derive(FromQueryResult)]
struct HeldRow {
    administrator: bool,
    name: Option<String>,
}

async fn held(transaction: &WriteTransaction, caller: &UserId) -> Result<Held, Error> {
    const SQL: &str = "SELECT true AS administrator, NULL AS name FROM user_roles ur
            JOIN roles r ON r.id = ur.role_id JOIN users u ON u.id = ur.user_id
            WHERE u.id = $1 AND u.status = 'active' AND r.built_in
        UNION ALL
        SELECT false, p.name FROM user_roles ur JOIN users u ON u.id = ur.user_id
            JOIN role_permissions rp ON rp.role_id = ur.role_id JOIN permissions p ON p.id = rp.permission_id
            WHERE u.id = $1 AND u.status = 'active'
        UNION ALL
        SELECT false, p.name FROM user_permissions up JOIN users u ON u.id = up.user_id
            JOIN permissions p ON p.id = up.permission_id
            WHERE u.id = $1 AND u.status = 'active'";
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        SQL,
        [Value::from(caller.as_str())],
    );
    let rows = HeldRow::find_by_statement(statement)
        .all(transaction)
        .await?;
    Ok(Held {
        administrator: rows.iter().any(|row| row.administrator),
        permissions: rows.into_iter().filter_map(|row| row.name).collect(),
    })
}

/// Refuses when an active caller lacks one of the permissions.
pub(super) async fn refuse_unless_held(
    transaction: &WriteTransaction,
    caller: &UserId,
    wanted: &[PermissionName],
) -> Result<(), Error> {
    let held = held(transaction, caller).await?;
    let lacking = wanted
        .iter()
        .filter(|wanted| !held.permissions.iter().any(|name| name == wanted.as_str()))
        .min();
    match lacking {
        Some(lacking) if !held.administrator => {
            Err(Refusal::GrantExceedsCaller(Some(lacking.clone())).into())
        }
        _ => Ok(()),
    }
}

/// Refuses when the roles give more than the caller holds. The role admin also gives every permission to come, so
/// only somebody who has it may give it.
pub(super) async fn refuse_more_than_held(
    transaction: &WriteTransaction,
    caller: &UserId,
    roles: &[role::Model],
) -> Result<(), Error> {
    let everything = roles.iter().any(|role| role.built_in);
    let mut query = permission::Entity::find();
    if !everything {
        let ids: Vec<_> = roles.iter().map(|role| role.id.as_str()).collect();
        query = query
            .join(
                JoinType::InnerJoin,
                role_permission::Relation::Permission.def().rev(),
            )
            .filter(role_permission::Column::RoleId.is_in(ids))
            .distinct();
    }
    let wanted: Vec<_> = query
        .all(transaction)
        .await?
        .into_iter()
        .map(|row| PermissionName::stored(row.name))
        .collect();
    refuse_unless_held(transaction, caller, &wanted).await?;
    if everything && !held(transaction, caller).await?.administrator {
        return Err(Refusal::GrantExceedsCaller(None).into());
    }
    Ok(())
}
