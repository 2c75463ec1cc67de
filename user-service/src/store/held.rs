//! Nobody gives what they do not hold for as long, or acts on somebody who holds more: decided inside the transaction
//! that does it.

use std::collections::{HashMap, HashSet};

use identity_kit::{clock::Timestamp, database::WriteTransaction};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect,
    RelationTrait, Statement, Value,
};

use super::{
    Error, corrupt,
    entity::{permission, role_permission},
    user,
};
use crate::domain::{
    id::{RoleId, UserId},
    name::PermissionName,
    refusal::Refusal,
    role::Role,
    user::User,
};

/// Whether a user has the role admin at `$3`.
macro_rules! has_admin {
    ($user:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM user_roles ur JOIN roles r ON r.id = ur.role_id
                WHERE ur.user_id = ",
            $user,
            " AND r.built_in AND (ur.ends_at IS NULL OR ur.ends_at > $3))"
        )
    };
}

/// The ids of the permissions that a user holds at `$3`, but for those of the role admin, which has no rows.
macro_rules! given {
    ($user:literal) => {
        concat!(
            "(SELECT up.permission_id FROM user_permissions up WHERE up.user_id = ",
            $user,
            " AND (up.ends_at IS NULL OR up.ends_at > $3)
            UNION ALL
            SELECT rp.permission_id FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
                WHERE ur.user_id = ",
            $user,
            " AND (ur.ends_at IS NULL OR ur.ends_at > $3))"
        )
    };
}

/// What the user `$2` has at `$3` and the active caller `$1` has not. The user's status plays no part: what a suspended
/// user holds comes back with the activation.
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

/// How long a caller must hold what they give or take. Whoever holds something until an end gives it on no longer than
/// that, or they would outlive their own right.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hold {
    /// At this moment: enough to take something away.
    At(Timestamp),
    /// At least until then.
    Until(Timestamp),
    /// Without end.
    Forever,
}

impl Hold {
    /// What giving asks for; `None` means that what is given never ends.
    pub(super) fn to_give(ends_at: Option<Timestamp>) -> Self {
        ends_at.map_or(Self::Forever, Self::Until)
    }

    /// The earliest end that is late enough, in microseconds.
    const fn least_end(self) -> i64 {
        match self {
            Self::At(now) => now.as_micros().saturating_add(1),
            Self::Until(end) => end.as_micros(),
            Self::Forever => i64::MAX,
        }
    }
}

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

pub(super) async fn held(
    transaction: &WriteTransaction,
    caller: &UserId,
    hold: Hold,
) -> Result<Held, Error> {
    const SQL: &str = "SELECT true AS administrator, NULL AS name FROM user_roles ur
            JOIN roles r ON r.id = ur.role_id JOIN users u ON u.id = ur.user_id
            WHERE u.id = $1 AND u.status = 'active' AND r.built_in AND (ur.ends_at IS NULL OR ur.ends_at >= $2)
        UNION ALL
        SELECT false, p.name FROM user_roles ur JOIN users u ON u.id = ur.user_id
            JOIN role_permissions rp ON rp.role_id = ur.role_id JOIN permissions p ON p.id = rp.permission_id
            WHERE u.id = $1 AND u.status = 'active' AND (ur.ends_at IS NULL OR ur.ends_at >= $2)
        UNION ALL
        SELECT false, p.name FROM user_permissions up JOIN users u ON u.id = up.user_id
            JOIN permissions p ON p.id = up.permission_id
            WHERE u.id = $1 AND u.status = 'active' AND (up.ends_at IS NULL OR up.ends_at >= $2)";
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        SQL,
        [Value::from(caller.as_str()), Value::from(hold.least_end())],
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
    now: Timestamp,
) -> Result<User, Error> {
    // Whoever gives something to a user locks the row too, so a comparison after the lock sees all that was given.
    let user = user::lock(transaction, id).await?;
    if caller != id {
        refuse_superior(transaction, caller, id, now).await?;
    }
    Ok(user)
}

async fn refuse_superior(
    transaction: &WriteTransaction,
    caller: &UserId,
    user: &UserId,
    now: Timestamp,
) -> Result<(), Error> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        EXCESS,
        [
            Value::from(caller.as_str()),
            Value::from(user.as_str()),
            Value::from(now.as_micros()),
        ],
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

/// Refuses when an active caller lacks one of the permissions, or does not hold it for long enough.
pub(super) async fn refuse_unless_held(
    transaction: &WriteTransaction,
    caller: &UserId,
    wanted: &[PermissionName],
    lasting: Hold,
) -> Result<(), Error> {
    let held = held(transaction, caller, lasting).await?;
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
    hold: Hold,
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
    refuse_unless_held(transaction, caller, &wanted, hold).await?;
    if everything && !held(transaction, caller, hold).await?.administrator {
        return Err(Refusal::GrantExceedsCaller(None).into());
    }
    Ok(())
}

/// Until when an active caller may give each of the roles, in microseconds: as long as the caller holds everything that
/// it gives; for nothing at all, zero. A role that gives nothing can be given without end.
pub(super) async fn giveable_until(
    transaction: &WriteTransaction,
    caller: &UserId,
    roles: &[Role],
    now: Timestamp,
) -> Result<HashMap<RoleId, i64>, Error> {
    const SQL: &str = "WITH caller AS (SELECT u.id FROM users u WHERE u.id = $1 AND u.status = 'active'),
        administrator AS (
            SELECT MAX(COALESCE(ur.ends_at, $3)) AS until FROM caller JOIN user_roles ur ON ur.user_id = caller.id
                JOIN roles r ON r.id = ur.role_id
                WHERE r.built_in AND (ur.ends_at IS NULL OR ur.ends_at > $2)
        ), held AS (
            SELECT permission_id, MAX(until) AS until FROM (
                SELECT up.permission_id, COALESCE(up.ends_at, $3) AS until FROM caller
                    JOIN user_permissions up ON up.user_id = caller.id
                    WHERE up.ends_at IS NULL OR up.ends_at > $2
                UNION ALL
                SELECT rp.permission_id, COALESCE(ur.ends_at, $3) FROM caller
                    JOIN user_roles ur ON ur.user_id = caller.id
                    JOIN role_permissions rp ON rp.role_id = ur.role_id
                    WHERE ur.ends_at IS NULL OR ur.ends_at > $2
            ) AS sources GROUP BY permission_id
        )
        SELECT r.id, COALESCE((SELECT until FROM administrator), 0) AS as_administrator,
            CASE WHEN r.built_in THEN 0 ELSE COALESCE((
                SELECT MIN(COALESCE(held.until, 0)) FROM role_permissions rp
                    LEFT JOIN held ON held.permission_id = rp.permission_id WHERE rp.role_id = r.id
            ), $3) END AS as_holder
        FROM roles r WHERE r.id IN ";
    if roles.is_empty() {
        return Ok(HashMap::new());
    }
    let places: Vec<_> = (4..roles.len() + 4)
        .map(|place| format!("${place}"))
        .collect();
    let about = [
        Value::from(caller.as_str()),
        Value::from(now.as_micros()),
        Value::from(i64::MAX),
    ];
    let ids = roles.iter().map(|role| Value::from(role.id.as_str()));
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!("{SQL}({})", places.join(", ")),
        about.into_iter().chain(ids),
    );
    let rows = GiveableRow::find_by_statement(statement)
        .all(transaction)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                RoleId::stored(row.id),
                row.as_administrator.max(row.as_holder),
            )
        })
        .collect())
}

#[derive(FromQueryResult)]
struct GiveableRow {
    id: String,
    as_administrator: i64,
    as_holder: i64,
}

/// Those of the users who hold something at `now` that the active caller does not.
pub(super) async fn superiors(
    transaction: &WriteTransaction,
    caller: &UserId,
    users: &[UserId],
    now: Timestamp,
) -> Result<HashSet<UserId>, Error> {
    if users.is_empty()
        || held(transaction, caller, Hold::At(now))
            .await?
            .administrator
    {
        return Ok(HashSet::new());
    }
    let places: Vec<_> = (3..users.len() + 3)
        .map(|place| format!("${place}"))
        .collect();
    let places = places.join(", ");
    let sql = format!(
        "WITH caller AS (SELECT u.id FROM users u WHERE u.id = $1 AND u.status = 'active'),
        held AS (
            SELECT up.permission_id FROM caller JOIN user_permissions up ON up.user_id = caller.id
                WHERE up.ends_at IS NULL OR up.ends_at > $2
            UNION
            SELECT rp.permission_id FROM caller JOIN user_roles ur ON ur.user_id = caller.id
                JOIN role_permissions rp ON rp.role_id = ur.role_id
                WHERE ur.ends_at IS NULL OR ur.ends_at > $2
        ), excessive AS (
            SELECT r.id FROM roles r WHERE r.built_in OR EXISTS (SELECT 1 FROM role_permissions rp
                WHERE rp.role_id = r.id AND rp.permission_id NOT IN (SELECT permission_id FROM held))
        )
        SELECT ur.user_id FROM user_roles ur WHERE ur.user_id IN ({places})
            AND (ur.ends_at IS NULL OR ur.ends_at > $2) AND ur.role_id IN (SELECT id FROM excessive)
        UNION
        SELECT up.user_id FROM user_permissions up WHERE up.user_id IN ({places})
            AND (up.ends_at IS NULL OR up.ends_at > $2)
            AND up.permission_id NOT IN (SELECT permission_id FROM held)"
    );
    let about = [Value::from(caller.as_str()), Value::from(now.as_micros())];
    let ids = users.iter().map(|id| Value::from(id.as_str()));
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        sql,
        about.into_iter().chain(ids),
    );
    let rows = transaction.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(UserId::stored(row.try_get("", "user_id")?)))
        .collect()
}
