//! Roles: create, read, change and delete.

use std::slice;

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::{
    Done, Error, RequestKey, Store,
    audit::{self, said},
    entity::{permission, role, role_permission},
    error::taken,
    event::{self, kinds},
    held::{self, Hold},
    request,
    rights::Touched,
};
use crate::domain::{
    etag::Etag,
    id::RoleId,
    name::{PermissionName, RoleName},
    page::{NameCursor, Page},
    refusal::Refusal,
    role::{NewRole, Role},
    text::Description,
};

impl Store {
    /// Creates a role, once for each request.
    ///
    /// # Errors
    /// `NameTaken`, `RequestIdReused`.
    pub async fn insert_role(
        &self,
        act: Act,
        new: NewRole,
        request: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<Done<Role>, Error> {
        self.write(
            act.on(audit::role(&new.id)),
            Touched::Nothing,
            (new, request),
            move |transaction, scribe, (new, request)| {
                Box::pin(async move {
                    if let Some(id) =
                        request::claim(transaction, request.as_ref(), new.id.as_str(), now).await?
                    {
                        return get(transaction, &RoleId::stored(id)).await;
                    }
                    let role = insert(transaction, new, false, now).await?;
                    let record = Record::default()
                        .changed("name", None::<String>, [role.name.as_str()])
                        .personal(
                            "description",
                            None::<String>,
                            said(role.description.as_str()),
                        );
                    scribe.done(transaction, record);
                    Ok(role)
                })
            },
        )
        .await
    }

    /// One role.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_role(&self, id: &RoleId) -> Result<Option<Role>, Error> {
        let row = role::Entity::find_by_id(id.as_str())
            .one(self.database.reader())
            .await?;
        Ok(row.map(Role::from))
    }

    /// The names of a role's permissions, sorted; the role admin has all there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_role_permission_names(
        &self,
        role: &Role,
    ) -> Result<Vec<PermissionName>, Error> {
        let mut query = permission::Entity::find()
            .select_only()
            .column(permission::Column::Name)
            .order_by_asc(permission::Column::Name);
        if !role.built_in {
            let granted = role_permission::Entity::find()
                .select_only()
                .column(role_permission::Column::PermissionId)
                .filter(role_permission::Column::RoleId.eq(role.id.as_str()));
            query = query.filter(permission::Column::Id.in_subquery(granted.into_query()));
        }
        let names: Vec<String> = query.into_tuple().all(self.database.reader()).await?;
        Ok(names.into_iter().map(PermissionName::stored).collect())
    }

    /// A page of at most `size` by name; with `name`, only the one of that name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_roles(
        &self,
        name: Option<&RoleName>,
        after: Option<&NameCursor>,
        size: u64,
    ) -> Result<Page<Role, NameCursor>, Error> {
        let mut query = role::Entity::find()
            .order_by_asc(role::Column::Name)
            .limit(size + 1);
        if let Some(name) = name {
            query = query.filter(role::Column::Name.eq(name.as_str()));
        }
        if let Some(cursor) = after {
            query = query.filter(role::Column::Name.gt(cursor.name.as_str()));
        }
        let rows = query.all(self.database.reader()).await?;
        let items = rows.into_iter().map(Role::from).collect();
        Ok(Page::cut(items, size, |item: &Role| NameCursor {
            name: item.name.as_str().to_owned(),
        }))
    }

    /// Changes the description of a role; `None` leaves it as it is.
    ///
    /// # Errors
    /// `RoleNotFound`, `EtagMismatch`, `BuiltIn`.
    pub async fn update_role(
        &self,
        act: Act,
        id: RoleId,
        description: Option<Description>,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<Role>, Error> {
        self.write(
            act.on(audit::role(&id)),
            Touched::Nothing,
            (id, description, etag),
            move |transaction, scribe, (id, description, etag)| {
                Box::pin(async move {
                    let role = lock(transaction, id).await?;
                    check_etag(&role, etag.as_ref())?;
                    let Some(description) = description.clone() else {
                        return Ok(role);
                    };
                    if role.built_in {
                        return Err(Refusal::BuiltIn.into());
                    }
                    let before = role.description.clone();
                    let role = Role {
                        description,
                        updated_at: now,
                        version: role.version + 1,
                        ..role
                    };
                    role::Entity::update(role::Model::from(&role).into_active_model().reset_all())
                        .exec_without_returning(transaction)
                        .await?;
                    event::role(transaction, kinds::ROLE_CHANGED, id);
                    let (before, after) = (said(before.as_str()), said(role.description.as_str()));
                    let record = Record::default().personal("description", before, after);
                    scribe.done(transaction, record);
                    Ok(role)
                })
            },
        )
        .await
    }

    /// Deletes a role; whoever had it loses it and what it gave.
    ///
    /// # Errors
    /// `RoleNotFound`, `BuiltIn`, `GrantExceedsCaller`, `EtagMismatch`.
    pub async fn delete_role(
        &self,
        act: Act,
        id: RoleId,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<()>, Error> {
        self.write(
            act.on(audit::role(&id)),
            Touched::Everybody,
            (id, etag),
            move |transaction, scribe, (id, etag)| {
                Box::pin(async move {
                    let role = lock(transaction, id).await?;
                    if role.built_in {
                        return Err(Refusal::BuiltIn.into());
                    }
                    let lost = slice::from_ref(&role);
                    held::refuse_more_than_held(transaction, &scribe.caller, lost, Hold::At(now))
                        .await?;
                    check_etag(&role, etag.as_ref())?;
                    role::Entity::delete_by_id(id.as_str())
                        .exec(transaction)
                        .await?;
                    event::role(transaction, kinds::ROLE_DELETED, id);
                    let record = Record::default();
                    let record = record.changed("name", [role.name.as_str()], None::<String>);
                    scribe.done(transaction, record.erasing());
                    Ok(())
                })
            },
        )
        .await
    }
}

/// Inserts a role.
pub(super) async fn insert(
    transaction: &WriteTransaction,
    new: &NewRole,
    built_in: bool,
    now: Timestamp,
) -> Result<Role, Error> {
    let new = new.clone();
    let role = Role {
        id: new.id,
        name: new.name,
        description: new.description,
        built_in,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    role::Entity::insert(role::Model::from(&role).into_active_model())
        .exec_without_returning(transaction)
        .await
        .map_err(name_taken)?;
    event::role(transaction, kinds::ROLE_CHANGED, &role.id);
    Ok(role)
}

/// The role, whose row stays as it is until the transaction ends.
pub(super) async fn lock(transaction: &WriteTransaction, id: &RoleId) -> Result<Role, Error> {
    let row = role::Entity::find_by_id(id.as_str())
        .lock_exclusive()
        .one(transaction)
        .await?;
    found(row, id)
}

async fn get(transaction: &WriteTransaction, id: &RoleId) -> Result<Role, Error> {
    found(
        role::Entity::find_by_id(id.as_str())
            .one(transaction)
            .await?,
        id,
    )
}

fn found(row: Option<role::Model>, id: &RoleId) -> Result<Role, Error> {
    row.map(Role::from)
        .ok_or_else(|| Refusal::RoleNotFound(id.clone()).into())
}

fn check_etag(role: &Role, etag: Option<&Etag>) -> Result<(), Refusal> {
    match etag {
        Some(etag) if *etag != role.etag() => Err(Refusal::EtagMismatch),
        _ => Ok(()),
    }
}

fn name_taken(error: DbErr) -> Error {
    taken(error, |_| Some(Refusal::NameTaken))
}

impl From<role::Model> for Role {
    fn from(row: role::Model) -> Self {
        Self {
            id: RoleId::stored(row.id),
            name: RoleName::stored(row.name),
            description: Description::stored(row.description),
            built_in: row.built_in,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            version: row.version,
        }
    }
}

impl From<&Role> for role::Model {
    fn from(role: &Role) -> Self {
        Self {
            id: role.id.as_str().to_owned(),
            name: role.name.as_str().to_owned(),
            description: role.description.as_str().to_owned(),
            built_in: role.built_in,
            created_at: role.created_at.as_micros(),
            updated_at: role.updated_at.as_micros(),
            version: role.version,
        }
    }
}
