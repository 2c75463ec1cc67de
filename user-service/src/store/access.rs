//! Who may do what, read whole in one statement: the database aggregates, and one snapshot holds the position too.
//! What has ended at the moment of the read, `$2`, is not there, whether or not its row still is.

mod rows;

use identity_kit::{clock::Timestamp, database::StoreError, position::Position};
use sea_orm::FromQueryResult;

use self::rows::{AccessRow, CredentialRow, FullRow, RightsRow, status};
pub(super) use self::rows::{end_of, names};
use super::{Error, Store};
use crate::domain::{
    access::{AccessSnapshot, CurrentPlan},
    credential::Credential,
    id::UserId,
    identifier::LoginKey,
    name::{PermissionName, RoleName},
    user::{User, UserStatus},
};

/// Whether the grant `$grant` has not ended.
macro_rules! lives {
    ($grant:literal) => {
        concat!(
            "(",
            $grant,
            ".ends_at IS NULL OR ",
            $grant,
            ".ends_at > $2)"
        )
    };
}

/// Names of everything that the user `u` holds, joined by commas, which no name contains; a name that is held in two
/// ways stands there twice.
macro_rules! effective {
    () => {
        concat!(
            "(SELECT string_agg(held.name, ',') FROM (
            SELECT p.name FROM user_roles ur
                JOIN roles r ON r.id = ur.role_id AND r.built_in
                CROSS JOIN permissions p
                WHERE ur.user_id = u.id AND ",
            lives!("ur"),
            "
            UNION ALL
            SELECT p.name FROM user_roles ur
                JOIN role_permissions rp ON rp.role_id = ur.role_id
                JOIN permissions p ON p.id = rp.permission_id
                WHERE ur.user_id = u.id AND ",
            lives!("ur"),
            "
            UNION ALL
            SELECT p.name FROM user_permissions up
                JOIN permissions p ON p.id = up.permission_id
                WHERE up.user_id = u.id AND ",
            lives!("up"),
            "
        ) held)"
        )
    };
}

/// `id name end` of each role of the user `u`, joined by commas; the end is empty where there is none.
macro_rules! roles {
    () => {
        concat!(
            "(SELECT string_agg(r.id || ' ' || r.name || ' ' || COALESCE(CAST(ur.ends_at AS text), ''), ',')
            FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id AND ",
            lives!("ur"),
            ")"
        )
    };
}

/// `id name end` of each direct permission of the user `u`, joined by commas; the end is empty where there is none.
macro_rules! direct {
    () => {
        concat!(
            "(SELECT string_agg(p.id || ' ' || p.name || ' ' || COALESCE(CAST(up.ends_at AS text), ''), ',')
            FROM user_permissions up JOIN permissions p ON p.id = up.permission_id WHERE up.user_id = u.id AND ",
            lives!("up"),
            ")"
        )
    };
}

/// The subscription of the user `u` while it counts, as `s`.
macro_rules! subscription {
    () => {
        concat!(
            " LEFT JOIN subscriptions s ON s.user_id = u.id AND s.status <> 'expired' AND ",
            lives!("s")
        )
    };
}

/// The earliest end of what the user `u` was given.
macro_rules! until {
    () => {
        "(SELECT MIN(given.ends_at) FROM (
            SELECT ur.ends_at FROM user_roles ur WHERE ur.user_id = u.id AND ur.ends_at > $2
            UNION ALL
            SELECT up.ends_at FROM user_permissions up WHERE up.user_id = u.id AND up.ends_at > $2
        ) given)"
    };
}

/// A profile alone.
const BASIC: &str = "SELECT u.*, NULL AS roles, NULL AS permissions, NULL AS plan, CAST(NULL AS bigint) AS plan_ends_at,
        h.epoch, h.revision
    FROM users u CROSS JOIN feed_head h WHERE u.id = $1";

/// A profile with roles and permissions.
const FULL: &str = concat!(
    "SELECT u.*, ",
    roles!(),
    " AS roles, ",
    effective!(),
    " AS permissions, s.plan, s.ends_at AS plan_ends_at, h.epoch, h.revision
    FROM users u CROSS JOIN feed_head h",
    subscription!(),
    " WHERE u.id = $1"
);

const SNAPSHOT: &str = concat!(
    "SELECT u.id, u.status, ",
    roles!(),
    " AS roles, ",
    direct!(),
    " AS direct, ",
    effective!(),
    " AS permissions, s.plan, s.ends_at AS plan_ends_at, h.epoch, h.revision
    FROM users u CROSS JOIN feed_head h",
    subscription!(),
    " WHERE u.id = $1"
);

const RIGHTS: &str = concat!(
    "SELECT u.status, ",
    effective!(),
    " AS permissions, ",
    until!(),
    " AS until FROM users u WHERE u.id = $1"
);

/// What a login needs, of the user whom the column says.
macro_rules! credential {
    ($column:literal) => {
        concat!(
            "SELECT u.id, u.status, ",
            roles!(),
            " AS roles, ",
            direct!(),
            " AS direct,
            ",
            effective!(),
            " AS permissions, s.plan, s.ends_at AS plan_ends_at, h.epoch, h.revision,
            u.username, u.email, u.first_name, u.last_name,
            c.password_hash, c.change_required, c.version AS credential_version
            FROM users u JOIN credentials c ON c.user_id = u.id CROSS JOIN feed_head h",
            subscription!(),
            " WHERE u.",
            $column,
            " = $1"
        )
    };
}

const CREDENTIAL_BY_ID: &str = credential!("id");
const CREDENTIAL_BY_USERNAME: &str = credential!("username_key");
const CREDENTIAL_BY_EMAIL: &str = credential!("email_key");

/// A user with what the user holds.
#[derive(Clone, Debug)]
pub struct FullUser {
    /// The profile.
    pub user: User,
    /// The user's roles, sorted; empty when not asked for.
    pub roles: Vec<RoleName>,
    /// Everything the user holds, sorted; empty when not asked for.
    pub permissions: Vec<PermissionName>,
    /// The plan of a subscription that counts; none when not asked for.
    pub plan: Option<CurrentPlan>,
    /// Where the feed stood when this was read.
    pub position: Position,
}

/// What the guard must know about a user.
#[derive(Clone, Debug)]
pub(super) struct Holdings {
    pub(super) status: UserStatus,
    pub(super) permissions: Vec<PermissionName>,
    /// When some of it may end by itself.
    pub(super) until: Option<Timestamp>,
}

/// Whom a credential is looked up by.
#[derive(Clone, Debug)]
pub enum CredentialKey {
    /// What was typed to log in.
    Login(LoginKey),
    /// The id.
    User(UserId),
}

impl Store {
    /// One user; with `full`, also roles and permissions.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_full_user(
        &self,
        id: &UserId,
        full: bool,
        now: Timestamp,
    ) -> Result<Option<FullUser>, Error> {
        let row = if full {
            self.first::<FullRow>(FULL, id.as_str(), now).await?
        } else {
            let row = self.database.read_first(BASIC, id.as_str()).await?;
            row.map(|row| FullRow::from_query_result(&row, ""))
                .transpose()?
        };
        Ok(row.map(FullUser::try_from).transpose()?)
    }

    /// A user's status and rights.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_access(
        &self,
        id: &UserId,
        now: Timestamp,
    ) -> Result<Option<AccessSnapshot>, Error> {
        let row: Option<AccessRow> = self.first(SNAPSHOT, id.as_str(), now).await?;
        Ok(row.map(AccessSnapshot::try_from).transpose()?)
    }

    /// Everything that a login needs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_credential(
        &self,
        key: &CredentialKey,
        now: Timestamp,
    ) -> Result<Option<Credential>, Error> {
        let (sql, key) = match key {
            CredentialKey::User(id) => (CREDENTIAL_BY_ID, id.as_str()),
            CredentialKey::Login(LoginKey::Username(key)) => (CREDENTIAL_BY_USERNAME, key.as_str()),
            CredentialKey::Login(LoginKey::Email(key)) => (CREDENTIAL_BY_EMAIL, key.as_str()),
        };
        let row: Option<CredentialRow> = self.first(sql, key, now).await?;
        Ok(row.map(Credential::try_from).transpose()?)
    }

    /// What the guard must know about a user.
    pub(super) async fn find_holdings(
        &self,
        id: &UserId,
        now: Timestamp,
    ) -> Result<Option<Holdings>, Error> {
        let row: Option<RightsRow> = self.first(RIGHTS, id.as_str(), now).await?;
        Ok(row
            .map(|row| {
                Ok::<_, StoreError>(Holdings {
                    status: status(&row.status)?,
                    permissions: names(row.permissions.as_deref()),
                    until: row.until.map(Timestamp::from_micros),
                })
            })
            .transpose()?)
    }

    /// The first row of a statement by its one key, at a moment.
    async fn first<R: FromQueryResult>(
        &self,
        sql: &'static str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<R>, Error> {
        let row = self.database.read_first_at(sql, key, now).await?;
        Ok(row.map(|row| R::from_query_result(&row, "")).transpose()?)
    }
}
