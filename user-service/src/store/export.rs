//! Users with all that is held about them: everybody page by page, or one person whole.

use identity_kit::{clock::Timestamp, database::StoreError, position::Position};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, Statement, Value,
};

use super::{
    Error, Store, corrupt,
    entity::{email_proof, user, user_import},
};
use crate::domain::{
    email::Email,
    export::{ExportedUser, Given, Import, PersonalData},
    id::UserId,
    import::{ExternalId, SourceName},
    name::{PermissionName, RoleName, TypeName},
    user::User,
};

/// How many users are read at once.
const PAGE: u32 = 100;

/// `name time end` of each role that the user `u` has at `$2`, and of each direct permission, joined by commas, which no
/// name contains; the end is empty where there is none.
macro_rules! given {
    () => {
        "(SELECT string_agg(r.name || ' ' || ur.created_at || ' ' || COALESCE(CAST(ur.ends_at AS text), ''), ',')
            FROM user_roles ur JOIN roles r ON r.id = ur.role_id
            WHERE ur.user_id = u.id AND (ur.ends_at IS NULL OR ur.ends_at > $2)) AS roles,
        (SELECT string_agg(p.name || ' ' || up.created_at || ' ' || COALESCE(CAST(up.ends_at AS text), ''), ',')
            FROM user_permissions up JOIN permissions p ON p.id = up.permission_id
            WHERE up.user_id = u.id AND (up.ends_at IS NULL OR up.ends_at > $2)) AS direct"
    };
}

/// In the order of their ids, which the primary key has. `$3` is the size.
const PAGE_AFTER: &str = concat!(
    "SELECT u.*, t.name AS type_name, ",
    given!(),
    " FROM users u JOIN user_types t ON t.id = u.user_type_id WHERE u.id > $1 ORDER BY u.id LIMIT $3"
);

const PERSON: &str = concat!(
    "SELECT u.*, t.name AS type_name, ",
    given!(),
    ", c.password_hash IS NOT NULL AS has_password, c.change_required, c.updated_at AS password_updated_at,
        (SELECT COUNT(*) FROM request_log l WHERE l.caller = u.id) AS remembered, h.epoch, h.revision
    FROM users u JOIN user_types t ON t.id = u.user_type_id JOIN credentials c ON c.user_id = u.id
        CROSS JOIN feed_head h WHERE u.id = $1"
);

impl Store {
    /// The users after this id, in the order of their ids: at most 100, and none at the end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_exported_users(
        &self,
        after: Option<&UserId>,
        now: Timestamp,
    ) -> Result<Vec<ExportedUser>, Error> {
        let reader = self.database.reader();
        let after = after.map_or("", UserId::as_str);
        let statement = Statement::from_sql_and_values(
            self.database.backend(),
            PAGE_AFTER,
            [
                Value::from(after),
                now.as_micros().into(),
                i64::from(PAGE).into(),
            ],
        );
        let rows = UserRow::find_by_statement(statement).all(reader).await?;
        Ok(rows
            .into_iter()
            .map(ExportedUser::try_from)
            .collect::<Result<_, _>>()?)
    }

    /// Everything that is held about one person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_personal_data(
        &self,
        id: &UserId,
        now: Timestamp,
    ) -> Result<Option<PersonalData>, Error> {
        let row = self
            .database
            .read_first_at(PERSON, id.as_str(), now)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let person = PersonRow::from_query_result(&row, "")?;
        let imports = user_import::Entity::find()
            .filter(user_import::Column::UserId.eq(id.as_str()))
            .order_by_asc(user_import::Column::Source)
            .order_by_asc(user_import::Column::ExternalId)
            .all(self.database.reader())
            .await?;
        let waiting = email_proof::Entity::find()
            .filter(email_proof::Column::UserId.eq(id.as_str()))
            .one(self.database.reader())
            .await?;
        let UserRow {
            user,
            type_name,
            roles,
            direct,
        } = person.user;
        Ok(Some(PersonalData {
            user: user.try_into()?,
            user_type: TypeName::stored(type_name),
            roles: named(roles.as_deref(), RoleName::stored)?,
            direct: named(direct.as_deref(), PermissionName::stored)?,
            has_password: person.has_password,
            change_required: person.change_required,
            password_updated_at: Timestamp::from_micros(person.password_updated_at),
            imports: imports.into_iter().map(Import::from).collect(),
            subscription: self.find_subscription(id, now).await?,
            waiting_email: waiting.map(|row| Email::stored(row.email)),
            remembered_requests: u64::try_from(person.remembered)
                .map_err(|_| corrupt("a count is negative"))?,
            position: Position::new(
                person.epoch,
                u64::try_from(person.revision)
                    .map_err(|_| corrupt("the feed has a negative revision"))?,
            ),
        }))
    }
}

#[derive(FromQueryResult)]
struct UserRow {
    #[sea_orm(nested)]
    user: user::Model,
    type_name: String,
    roles: Option<String>,
    direct: Option<String>,
}

#[derive(FromQueryResult)]
struct PersonRow {
    #[sea_orm(nested)]
    user: UserRow,
    has_password: bool,
    change_required: bool,
    password_updated_at: i64,
    remembered: i64,
    epoch: String,
    revision: i64,
}

impl TryFrom<UserRow> for ExportedUser {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let roles = named(row.roles.as_deref(), RoleName::stored)?;
        let direct = named(row.direct.as_deref(), PermissionName::stored)?;
        Ok(Self {
            user: User::try_from(row.user)?,
            user_type: TypeName::stored(row.type_name),
            roles: roles.into_iter().map(|given| given.name).collect(),
            direct: direct.into_iter().map(|given| given.name).collect(),
        })
    }
}

impl From<user_import::Model> for Import {
    fn from(row: user_import::Model) -> Self {
        Self {
            source: SourceName::stored(row.source),
            external_id: ExternalId::stored(row.external_id),
            imported_at: Timestamp::from_micros(row.created_at),
        }
    }
}

/// The parts of `name time end,name time end`, sorted by name.
fn named<T>(joined: Option<&str>, name: impl Fn(String) -> T) -> Result<Vec<Given<T>>, StoreError> {
    let parts = joined.unwrap_or_default().split_terminator(',');
    let mut parts: Vec<(&str, i64, Option<i64>)> = parts
        .map(|part| {
            let (name, times) = part.split_once(' ')?;
            let (time, end) = times.split_once(' ')?;
            let end = match end {
                "" => None,
                end => Some(end.parse().ok()?),
            };
            Some((name, time.parse().ok()?, end))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| corrupt("a grant has no name or no time"))?;
    parts.sort_unstable();
    Ok(parts
        .into_iter()
        .map(|(text, given_at, ends_at)| Given {
            name: name(text.to_owned()),
            given_at: Timestamp::from_micros(given_at),
            ends_at: ends_at.map(Timestamp::from_micros),
        })
        .collect())
}

#[cfg(test)]
mod tests;
