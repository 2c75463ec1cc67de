//! What a user holds and why: each permission with everything that gives it.

use std::iter;

use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use super::{Error, Store, entity::permission};
use crate::domain::{
    access::{EffectivePermission, Source, Standing},
    id::UserId,
    name::{PermissionName, RoleName},
    page::{NameCursor, Page},
};

/// Whether the user `$1` holds the permission `p` directly.
macro_rules! direct {
    () => {
        "EXISTS (SELECT 1 FROM user_permissions up WHERE up.user_id = $1 AND up.permission_id = p.id)"
    };
}

/// Whether the role `r` gives the permission `p`.
macro_rules! gives {
    () => {
        "(r.built_in OR EXISTS (
            SELECT 1 FROM role_permissions rp WHERE rp.role_id = r.id AND rp.permission_id = p.id))"
    };
}

/// Names of roles of the user `$1` that give the permission `p`, joined by commas.
macro_rules! own_roles {
    () => {
        concat!(
            "(SELECT string_agg(r.name, ',') FROM user_roles ur JOIN roles r ON r.id = ur.role_id
                WHERE ur.user_id = $1 AND ",
            gives!(),
            ")"
        )
    };
}

/// From what is given to the user, which is little; only who has the role admin holds all there are.
const HELD: &str = concat!(
    "WITH given AS (
        SELECT up.permission_id AS id FROM user_permissions up WHERE up.user_id = $1
        UNION
        SELECT rp.permission_id FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
            WHERE ur.user_id = $1
        UNION
        SELECT every.id FROM (SELECT p.id FROM user_roles ur JOIN roles r ON r.id = ur.role_id AND r.built_in
            CROSS JOIN permissions p WHERE ur.user_id = $1 AND p.name > $2 ORDER BY p.name LIMIT $3) every
    ), page AS (
        SELECT p.* FROM given CROSS JOIN permissions p WHERE p.id = given.id AND p.name > $2
            ORDER BY p.name LIMIT $3
    )
    SELECT p.*, ",
    direct!(),
    " AS direct, ",
    own_roles!(),
    " AS roles FROM page p ORDER BY p.name"
);

/// The roles that would give a permission are the first twenty by name, as the contract says.
const STANDINGS: &str = concat!(
    "SELECT p.name, ",
    direct!(),
    " AS direct, ",
    own_roles!(),
    " AS roles,
        (SELECT string_agg(giver.name, ',') FROM (SELECT r.name FROM roles r WHERE ",
    gives!(),
    " ORDER BY r.name LIMIT 20) giver) AS granting
    FROM permissions p WHERE p.name IN "
);

impl Store {
    /// A page of at most `size` of what a user holds, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_user_permissions(
        &self,
        user_id: &UserId,
        after: Option<&NameCursor>,
        size: u64,
    ) -> Result<Page<EffectivePermission, NameCursor>, Error> {
        let after = after.map_or("", |cursor| cursor.name.as_str());
        let limit = i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1);
        let values = [
            Value::from(user_id.as_str()),
            Value::from(after),
            Value::from(limit),
        ];
        let statement = Statement::from_sql_and_values(self.database.backend(), HELD, values);
        let rows = HeldRow::find_by_statement(statement)
            .all(self.database.reader())
            .await?;
        let items = rows.into_iter().map(EffectivePermission::from).collect();
        Ok(Page::cut(items, size, |item: &EffectivePermission| {
            NameCursor {
                name: item.permission.name.as_str().to_owned(),
            }
        }))
    }

    /// How a user stands to those of the permissions that exist, in no order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_standings(
        &self,
        user_id: &UserId,
        names: &[PermissionName],
    ) -> Result<Vec<Standing>, Error> {
        let statement = standings(self.database.backend(), user_id, names);
        let rows = StandingRow::find_by_statement(statement)
            .all(self.database.reader())
            .await?;
        Ok(rows.into_iter().map(Standing::from).collect())
    }
}

fn standings(backend: DbBackend, user_id: &UserId, names: &[PermissionName]) -> Statement {
    let places: Vec<_> = (2..names.len() + 2)
        .map(|place| format!("${place}"))
        .collect();
    let values = iter::once(user_id.as_str()).chain(names.iter().map(PermissionName::as_str));
    Statement::from_sql_and_values(
        backend,
        format!("{STANDINGS}({})", places.join(", ")),
        values.map(Value::from),
    )
}

#[derive(FromQueryResult)]
struct HeldRow {
    #[sea_orm(nested)]
    permission: permission::Model,
    direct: bool,
    roles: Option<String>,
}

#[derive(FromQueryResult)]
struct StandingRow {
    name: String,
    direct: bool,
    roles: Option<String>,
    granting: Option<String>,
}

impl From<HeldRow> for EffectivePermission {
    fn from(row: HeldRow) -> Self {
        Self {
            permission: row.permission.into(),
            sources: sources(row.direct, row.roles.as_deref()),
        }
    }
}

impl From<StandingRow> for Standing {
    fn from(row: StandingRow) -> Self {
        Self {
            name: PermissionName::stored(row.name),
            sources: sources(row.direct, row.roles.as_deref()),
            granting_roles: role_names(row.granting.as_deref()),
        }
    }
}

/// The direct grant first, then roles by name.
fn sources(direct: bool, roles: Option<&str>) -> Vec<Source> {
    let direct = direct.then_some(Source::Direct);
    direct
        .into_iter()
        .chain(role_names(roles).into_iter().map(Source::Role))
        .collect()
}

/// The parts of `name,name`, sorted.
fn role_names(joined: Option<&str>) -> Vec<RoleName> {
    let names = joined.unwrap_or_default().split_terminator(',');
    let mut names: Vec<_> = names
        .map(|name| RoleName::stored(name.to_owned()))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
