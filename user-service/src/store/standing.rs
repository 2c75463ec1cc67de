//! What a user holds and why: each permission with everything that gives it. What has ended at the moment of the read,
//! `$2`, gives nothing, whether or not its row is still there.

use identity_kit::{clock::Timestamp, database::StoreError};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use super::{Error, Store, access::end_of, corrupt, entity::permission};
use crate::domain::{
    access::{EffectivePermission, Giver, Source, Standing},
    id::UserId,
    name::{PermissionName, RoleName},
    page::{NameCursor, Page},
};

/// The end of the direct grant of the permission `p` to the user `$1` as text, empty when it never ends; no text at all
/// when there is none.
macro_rules! direct {
    () => {
        "(SELECT COALESCE(CAST(up.ends_at AS text), '') FROM user_permissions up
            WHERE up.user_id = $1 AND up.permission_id = p.id AND (up.ends_at IS NULL OR up.ends_at > $2))"
    };
}

/// Whether the role `r` gives the permission `p`.
macro_rules! gives {
    () => {
        "(r.built_in OR EXISTS (
            SELECT 1 FROM role_permissions rp WHERE rp.role_id = r.id AND rp.permission_id = p.id))"
    };
}

/// `name end` of the roles of the user `$1` that give the permission `p`, joined by commas; the end is empty where there
/// is none.
macro_rules! own_roles {
    () => {
        concat!(
            "(SELECT string_agg(r.name || ' ' || COALESCE(CAST(ur.ends_at AS text), ''), ',')
                FROM user_roles ur JOIN roles r ON r.id = ur.role_id
                WHERE ur.user_id = $1 AND (ur.ends_at IS NULL OR ur.ends_at > $2) AND ",
            gives!(),
            ")"
        )
    };
}

/// From what is given to the user, which is little; only who has the role admin holds all there are.
const HELD: &str = concat!(
    "WITH given AS (
        SELECT up.permission_id AS id FROM user_permissions up
            WHERE up.user_id = $1 AND (up.ends_at IS NULL OR up.ends_at > $2)
        UNION
        SELECT rp.permission_id FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
            WHERE ur.user_id = $1 AND (ur.ends_at IS NULL OR ur.ends_at > $2)
        UNION
        SELECT every.id FROM (SELECT p.id FROM user_roles ur JOIN roles r ON r.id = ur.role_id AND r.built_in
            CROSS JOIN permissions p WHERE ur.user_id = $1 AND (ur.ends_at IS NULL OR ur.ends_at > $2)
            AND p.name > $3 ORDER BY p.name LIMIT $4) every
    ), page AS (
        SELECT p.* FROM given CROSS JOIN permissions p WHERE p.id = given.id AND p.name > $3
            ORDER BY p.name LIMIT $4
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
        now: Timestamp,
    ) -> Result<Page<EffectivePermission, NameCursor>, Error> {
        let after = after.map_or("", |cursor| cursor.name.as_str());
        let limit = i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1);
        let values = [
            Value::from(user_id.as_str()),
            Value::from(now.as_micros()),
            Value::from(after),
            Value::from(limit),
        ];
        let statement = Statement::from_sql_and_values(self.database.backend(), HELD, values);
        let rows = HeldRow::find_by_statement(statement)
            .all(self.database.reader())
            .await?;
        let items = rows
            .into_iter()
            .map(EffectivePermission::try_from)
            .collect::<Result<_, _>>()?;
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
        now: Timestamp,
    ) -> Result<Vec<Standing>, Error> {
        let statement = standings(self.database.backend(), user_id, names, now);
        let rows = StandingRow::find_by_statement(statement)
            .all(self.database.reader())
            .await?;
        Ok(rows
            .into_iter()
            .map(Standing::try_from)
            .collect::<Result<_, _>>()?)
    }
}

fn standings(
    backend: DbBackend,
    user_id: &UserId,
    names: &[PermissionName],
    now: Timestamp,
) -> Statement {
    let places: Vec<_> = (3..names.len() + 3)
        .map(|place| format!("${place}"))
        .collect();
    let about = [Value::from(user_id.as_str()), Value::from(now.as_micros())];
    let names = names.iter().map(|name| Value::from(name.as_str()));
    Statement::from_sql_and_values(
        backend,
        format!("{STANDINGS}({})", places.join(", ")),
        about.into_iter().chain(names),
    )
}

#[derive(FromQueryResult)]
struct HeldRow {
    #[sea_orm(nested)]
    permission: permission::Model,
    direct: Option<String>,
    roles: Option<String>,
}

#[derive(FromQueryResult)]
struct StandingRow {
    name: String,
    direct: Option<String>,
    roles: Option<String>,
    granting: Option<String>,
}

impl TryFrom<HeldRow> for EffectivePermission {
    type Error = StoreError;

    fn try_from(row: HeldRow) -> Result<Self, StoreError> {
        Ok(Self {
            permission: row.permission.into(),
            sources: sources(row.direct.as_deref(), row.roles.as_deref())?,
        })
    }
}

impl TryFrom<StandingRow> for Standing {
    type Error = StoreError;

    fn try_from(row: StandingRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: PermissionName::stored(row.name),
            sources: sources(row.direct.as_deref(), row.roles.as_deref())?,
            granting_roles: role_names(row.granting.as_deref()),
        })
    }
}

/// The direct grant first, then roles by name.
fn sources(direct: Option<&str>, roles: Option<&str>) -> Result<Vec<Source>, StoreError> {
    let mut sources = Vec::new();
    if let Some(end) = direct {
        sources.push(Source {
            giver: Giver::Direct,
            ends_at: end_of(end)?,
        });
    }
    // A space sorts before every character of a name, so this is the order of the names.
    let mut roles: Vec<_> = roles.unwrap_or_default().split_terminator(',').collect();
    roles.sort_unstable();
    for role in roles {
        let (name, end) = role
            .split_once(' ')
            .ok_or_else(|| corrupt("a role that gives something has no end"))?;
        sources.push(Source {
            giver: Giver::Role(RoleName::stored(name.to_owned())),
            ends_at: end_of(end)?,
        });
    }
    Ok(sources)
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
