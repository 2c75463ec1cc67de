//! What a batch of imported users meets in the database, read in a fixed number of statements.

use std::collections::{HashMap, HashSet};

use identity_kit::database::WriteTransaction;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::{
    Error, corrupt,
    entity::{permission, role, role_permission, user, user_import, user_type, username_skeleton},
    held::{self, Held, Hold},
};
use crate::domain::{
    id::{UserId, UserTypeId},
    import::{ImportBatch, ImportRefusal, ImportedUser},
    name::{PermissionName, RoleName},
    role::Role,
};

/// Something by its name.
type ByName<T> = HashMap<String, T>;

/// What there is already.
pub(super) struct Known {
    /// Users who were imported before, by external id.
    pub(super) imported: ByName<UserId>,
    /// Keys of usernames that somebody has.
    pub(super) usernames: HashSet<String>,
    /// What usernames that somebody has look like.
    pub(super) look_alikes: HashSet<String>,
    /// Keys of addresses that somebody has.
    pub(super) emails: HashSet<String>,
    /// The roles that the batch names; they stay until the transaction ends.
    pub(super) roles: ByName<Role>,
    /// The types that the batch names; they stay until the transaction ends.
    types: ByName<UserTypeId>,
    default_type: UserTypeId,
    /// What each role gives that the caller lacks.
    lacking: ByName<Option<PermissionName>>,
}

impl Known {
    pub(super) async fn read(
        transaction: &WriteTransaction,
        batch: &ImportBatch,
    ) -> Result<Self, Error> {
        // Roles and types before users, as every transaction that locks them does.
        let roles = roles(transaction, batch).await?;
        let (types, default_type) = types(transaction, batch).await?;
        let lacking = lacking(transaction, batch, &roles).await?;
        let keys = |of: fn(&ImportedUser) -> String| batch.users.iter().map(of).collect::<Vec<_>>();
        let usernames = keys(|user| user.new.username.key());
        let usernames = taken(transaction, user::Column::UsernameKey, usernames).await?;
        let look_alikes = look_alikes(transaction, batch).await?;
        let emails = keys(|user| user.new.email.key());
        let emails = taken(transaction, user::Column::EmailKey, emails).await?;
        Ok(Self {
            // After the names: on PostgreSQL each statement sees what was committed before it, and an import of the
            // same users beside this one must not look like somebody else who has their names.
            imported: imported(transaction, batch).await?,
            usernames,
            look_alikes,
            emails,
            roles,
            types,
            default_type,
            lacking,
        })
    }

    /// The type of a user.
    pub(super) fn type_of(&self, user: &ImportedUser) -> Result<UserTypeId, ImportRefusal> {
        let Some(name) = &user.user_type else {
            return Ok(self.default_type.clone());
        };
        let found = self.types.get(name.as_str()).cloned();
        found.ok_or_else(|| ImportRefusal::UserTypeNotFound(name.clone()))
    }

    /// Refuses a role that there is not, or that gives what the caller lacks.
    pub(super) fn may_give(&self, name: &RoleName) -> Result<(), ImportRefusal> {
        if !self.roles.contains_key(name.as_str()) {
            return Err(ImportRefusal::RoleNotFound(name.clone()));
        }
        match self.lacking.get(name.as_str()) {
            Some(lacking) => Err(ImportRefusal::GrantExceedsCaller(lacking.clone())),
            None => Ok(()),
        }
    }
}

async fn imported(
    transaction: &WriteTransaction,
    batch: &ImportBatch,
) -> Result<ByName<UserId>, Error> {
    let ids = batch.users.iter().map(|user| user.external_id.as_str());
    let rows = user_import::Entity::find()
        .filter(user_import::Column::Source.eq(batch.source.as_str()))
        .filter(user_import::Column::ExternalId.is_in(ids))
        .all(transaction)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.external_id, UserId::stored(row.user_id)))
        .collect())
}

/// What the usernames of the batch look like, as far as somebody's does.
async fn look_alikes(
    transaction: &WriteTransaction,
    batch: &ImportBatch,
) -> Result<HashSet<String>, Error> {
    let skeletons = batch
        .users
        .iter()
        .flat_map(|user| user.new.username.skeletons());
    let rows = username_skeleton::Entity::find()
        .filter(username_skeleton::Column::Skeleton.is_in(skeletons))
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(|row| row.skeleton).collect())
}

/// Those of the keys that somebody has.
async fn taken(
    transaction: &WriteTransaction,
    column: user::Column,
    keys: Vec<String>,
) -> Result<HashSet<String>, Error> {
    let found: Vec<String> = user::Entity::find()
        .select_only()
        .column(column)
        .filter(column.is_in(keys))
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(found.into_iter().collect())
}

async fn roles(transaction: &WriteTransaction, batch: &ImportBatch) -> Result<ByName<Role>, Error> {
    let names: HashSet<_> = batch
        .users
        .iter()
        .flat_map(|user| user.roles.iter().map(RoleName::as_str))
        .collect();
    if names.is_empty() {
        return Ok(ByName::new());
    }
    let rows = role::Entity::find()
        .filter(role::Column::Name.is_in(names))
        .order_by_asc(role::Column::Id)
        .lock_shared()
        .all(transaction)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name.clone(), Role::from(row)))
        .collect())
}

async fn types(
    transaction: &WriteTransaction,
    batch: &ImportBatch,
) -> Result<(ByName<UserTypeId>, UserTypeId), Error> {
    let names: HashSet<_> = batch
        .users
        .iter()
        .filter_map(|user| Some(user.user_type.as_ref()?.as_str()))
        .collect();
    let rows = user_type::Entity::find()
        .filter(
            Condition::any()
                .add(user_type::Column::BuiltIn.eq(true))
                .add(user_type::Column::Name.is_in(names)),
        )
        .order_by_asc(user_type::Column::Id)
        .lock_shared()
        .all(transaction)
        .await?;
    let default = rows
        .iter()
        .find(|row| row.built_in)
        .map(|row| UserTypeId::stored(row.id.clone()))
        .ok_or_else(|| corrupt("there is no default user type"))?;
    let types = rows
        .into_iter()
        .map(|row| (row.name, UserTypeId::stored(row.id)))
        .collect();
    Ok((types, default))
}

/// What each of the roles gives that the caller lacks; nothing is lacking to an operator at the database.
async fn lacking(
    transaction: &WriteTransaction,
    batch: &ImportBatch,
    roles: &ByName<Role>,
) -> Result<ByName<Option<PermissionName>>, Error> {
    let Some(caller) = &batch.caller else {
        return Ok(ByName::new());
    };
    if roles.is_empty() {
        return Ok(ByName::new());
    }
    let Held {
        administrator: false,
        permissions,
    } = held::held(transaction, caller, Hold::Forever).await?
    else {
        return Ok(ByName::new());
    };
    let mut lacking: ByName<Option<PermissionName>> = roles
        .values()
        .filter(|role| role.built_in)
        .map(|role| (role.name.as_str().to_owned(), None))
        .collect();
    let given: Vec<(String, String)> = role_permission::Entity::find()
        .select_only()
        .column(role_permission::Column::RoleId)
        .column(permission::Column::Name)
        .inner_join(permission::Entity)
        .filter(role_permission::Column::RoleId.is_in(roles.values().map(|role| role.id.as_str())))
        .order_by_desc(permission::Column::Name)
        .into_tuple()
        .all(transaction)
        .await?;
    for (role_id, name) in given {
        let role = roles.values().find(|role| role.id.as_str() == role_id);
        if let Some(role) = role
            && !permissions.contains(&name)
        {
            // The last one is the first by name.
            let name = PermissionName::stored(name);
            lacking.insert(role.name.as_str().to_owned(), Some(name));
        }
    }
    Ok(lacking)
}
