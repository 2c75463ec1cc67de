//! Nobody gives what they do not hold, or acts on somebody who holds more: decided inside the transaction that does it.

use identity_kit::database::WriteTransaction;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect,
    RelationTrait, Statement, Value,
};

use super::{
    Error, corrupt,
    entity::{permission, role_permission},
    user,
};
use crate::domain::{id::UserId, name::PermissionName, refusal::Refusal, role::Role, user::User};

/// Whether a user has the role admin.
macro_rules! has_admin {
    ($user:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM user_roles ur JOIN roles r ON r.id = ur.role_id
                WHERE ur.user_id = ",
            $user,
            " AND r.built_in)"
        )
    };
}

/// The ids of the permissions that a user holds, but for those of the role admin, which has no rows.
macro_rules! given {
    ($user:literal) => {
        concat!(
            "(SELECT up.permission_id FROM user_permissions up WHERE up.user_id = ",
            $user,
            " UNION ALL
            SELECT rp.permission_id FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
                WHERE ur.user_id = ",
            $user,
            ")"
        )
    };
}

/// What the user `$2` has and the active caller `$1` has not. The user's status plays no part: what a suspended user
/// holds comes back with the activation.
const EXCESS: &str = concat!(
    "WITH caller AS (SELECT u.id FROM users u WHERE u.id = $1 AND u.status = 'active')
    SELECT ",
    has_admin!("$2"),
    " AND NOT ",
    has_admin!("(SELECT id FROM caller)"),
    " AS administrator,
        (SELECT MIN(p.name) FROM permissions p WHERE (",
    has_admin!("$2"),
    " OR p.id IN ",
    given!("$2"),
    ") AND NOT (",
    has_admin!("(SELECT id FROM caller)"),
    " OR p.id IN ",
    given!("(SELECT id FROM caller)"),
    ")) AS name"
);

/// What an active caller holds, read inside the transaction that gives it on.
pub(super) struct Held {
    pub(super) administrator: bool,
    pub(super) permissions: Vec<String>,
}

#[derive(FromQueryResult)]
struct HeldRow {
    administrator: bool,
    name: Option<String>,
}

pub(super) async fn held(transaction: &WriteTransaction, caller: &UserId) -> Result<Held, Error> {
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

/// The user to act on, whose row stays as it is until the transaction ends; refused when another user holds more than
/// the caller.
pub(super) async fn lock_inferior(
    transaction: &WriteTransaction,
    caller: &UserId,
    id: &UserId,
) -> Result<User, Error> {
    // Whoever gives something to a user locks the row too, so a comparison after the lock sees all that was given.
    let user = user::lock(transaction, id).await?;
    if caller != id {
        refuse_superior(transaction, caller, id).await?;
    }
    Ok(user)
}

async fn refuse_superior(
    transaction: &WriteTransaction,
    caller: &UserId,
    user: &UserId,
) -> Result<(), Error> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        EXCESS,
        [caller.as_str(), user.as_str()].map(Value::from),
    );
    let excess = HeldRow::find_by_statement(statement)
        .one(transaction)
        .await?
        .ok_or_else(|| corrupt("a comparison of users has no answer"))?;
    if excess.administrator || excess.name.is_some() {
        let lacking = excess.name.map(PermissionName::stored);
        return Err(Refusal::GrantExceedsCaller(lacking).into());
    }
    Ok(())
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
    roles: &[Role],
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
