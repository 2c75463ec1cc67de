//! Permissions: create, read, change and delete.

use std::slice;

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::{
    Done, Error, RequestKey, Store,
    audit::{self, said},
    entity::permission,
    error::taken,
    event::{self, kinds},
    held::{self, Hold},
    request,
    rights::Touched,
};
use crate::domain::{
    etag::Etag,
    id::PermissionId,
    name::PermissionName,
    page::{NameCursor, Page},
    permission::{NewPermission, Permission},
    refusal::Refusal,
    text::Description,
};

impl Store {
    /// Creates a permission, once for each request.
    ///
    /// # Errors
    /// `NameTaken`, `RequestIdReused`.
    pub async fn insert_permission(
        &self,
        act: Act,
        new: NewPermission,
        request: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<Done<Permission>, Error> {
        self.write(
            act.on(audit::permission(&new.id)),
            Touched::Everybody,
            (new, request),
            move |transaction, scribe, (new, request)| {
                Box::pin(async move {
                    if let Some(id) =
                        request::claim(transaction, request.as_ref(), new.id.as_str(), now).await?
                    {
                        return get(transaction, &PermissionId::stored(id)).await;
                    }
                    let permission = insert(transaction, new, false, now).await?;
                    let (name, description) = (&permission.name, &permission.description);
                    let record = Record::default()
                        .changed("name", None::<String>, [name.as_str()])
                        .personal("description", None::<String>, said(description.as_str()));
                    scribe.done(transaction, record);
                    Ok(permission)
                })
            },
        )
        .await
    }

    /// One permission.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_permission(&self, id: &PermissionId) -> Result<Option<Permission>, Error> {
        let row = permission::Entity::find_by_id(id.as_str())
            .one(self.database.reader())
            .await?;
        Ok(row.map(Permission::from))
    }

    /// A page of at most `size` by name; with `name`, only the one of that name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_permissions(
        &self,
        name: Option<&PermissionName>,
        after: Option<&NameCursor>,
        size: u64,
    ) -> Result<Page<Permission, NameCursor>, Error> {
        let mut query = permission::Entity::find()
            .order_by_asc(permission::Column::Name)
            .limit(size + 1);
        if let Some(name) = name {
            query = query.filter(permission::Column::Name.eq(name.as_str()));
        }
        if let Some(cursor) = after {
            query = query.filter(permission::Column::Name.gt(cursor.name.as_str()));
        }
        let rows = query.all(self.database.reader()).await?;
        let items = rows.into_iter().map(Permission::from).collect();
        Ok(Page::cut(items, size, |item: &Permission| NameCursor {
            name: item.name.as_str().to_owned(),
        }))
    }

    /// Changes the description of a permission; `None` leaves it as it is.
    ///
    /// # Errors
    /// `PermissionNotFound`, `EtagMismatch`.
    pub async fn update_permission(
        &self,
        act: Act,
        id: PermissionId,
        description: Option<Description>,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<Permission>, Error> {
        self.write(
            act.on(audit::permission(&id)),
            Touched::Nothing,
            (id, description, etag),
            move |transaction, scribe, (id, description, etag)| {
                Box::pin(async move {
                    let permission = lock(transaction, id).await?;
                    check_etag(&permission, etag.as_ref())?;
                    let Some(description) = description.clone() else {
                        return Ok(permission);
                    };
                    let before = permission.description.clone();
                    let permission = Permission {
                        description,
                        updated_at: now,
                        version: permission.version + 1,
                        ..permission
                    };
                    permission::Entity::update(
                        permission::Model::from(&permission)
                            .into_active_model()
                            .reset_all(),
                    )
                    .exec_without_returning(transaction)
                    .await?;
                    event::permission(transaction, kinds::PERMISSION_CHANGED, &permission);
                    let (before, after) =
                        (said(before.as_str()), said(permission.description.as_str()));
                    let record = Record::default().personal("description", before, after);
                    scribe.done(transaction, record);
                    Ok(permission)
                })
            },
        )
        .await
    }

    /// Deletes a permission; whoever held it loses it.
    ///
    /// # Errors
    /// `PermissionNotFound`, `BuiltIn`, `GrantExceedsCaller`, `EtagMismatch`.
    pub async fn delete_permission(
        &self,
        act: Act,
        id: PermissionId,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<()>, Error> {
        self.write(
            act.on(audit::permission(&id)),
            Touched::Everybody,
            (id, etag),
            move |transaction, scribe, (id, etag)| {
                Box::pin(async move {
                    let permission = lock(transaction, id).await?;
                    if permission.built_in {
                        return Err(Refusal::BuiltIn.into());
                    }
                    let lost = slice::from_ref(&permission.name);
                    held::refuse_unless_held(transaction, &scribe.caller, lost, Hold::At(now))
                        .await?;
                    check_etag(&permission, etag.as_ref())?;
                    permission::Entity::delete_by_id(id.as_str())
                        .exec(transaction)
                        .await?;
                    event::permission(transaction, kinds::PERMISSION_DELETED, &permission);
                    let name = permission.name.as_str();
                    let record = Record::default().changed("name", [name], None::<String>);
                    scribe.done(transaction, record.erasing());
                    Ok(())
                })
            },
        )
        .await
    }
}

/// Inserts a permission.
pub(super) async fn insert(
    transaction: &WriteTransaction,
    new: &NewPermission,
    built_in: bool,
    now: Timestamp,
) -> Result<Permission, Error> {
    let new = new.clone();
    let permission = Permission {
        id: new.id,
        name: new.name,
        description: new.description,
        built_in,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    permission::Entity::insert(permission::Model::from(&permission).into_active_model())
        .exec_without_returning(transaction)
        .await
        .map_err(name_taken)?;
    event::permission(transaction, kinds::PERMISSION_CHANGED, &permission);
    Ok(permission)
}

/// The permission, whose row stays as it is until the transaction ends.
async fn lock(transaction: &WriteTransaction, id: &PermissionId) -> Result<Permission, Error> {
    let row = permission::Entity::find_by_id(id.as_str())
        .lock_exclusive()
        .one(transaction)
        .await?;
    found(row, id)
}

async fn get(transaction: &WriteTransaction, id: &PermissionId) -> Result<Permission, Error> {
    found(
        permission::Entity::find_by_id(id.as_str())
            .one(transaction)
            .await?,
        id,
    )
}

fn found(row: Option<permission::Model>, id: &PermissionId) -> Result<Permission, Error> {
    row.map(Permission::from)
        .ok_or_else(|| Refusal::PermissionNotFound(id.clone()).into())
}

fn check_etag(permission: &Permission, etag: Option<&Etag>) -> Result<(), Refusal> {
    match etag {
        Some(etag) if *etag != permission.etag() => Err(Refusal::EtagMismatch),
        _ => Ok(()),
    }
}

fn name_taken(error: DbErr) -> Error {
    taken(error, |_| Some(Refusal::NameTaken))
}

impl From<permission::Model> for Permission {
    fn from(row: permission::Model) -> Self {
        Self {
            id: PermissionId::stored(row.id),
            name: PermissionName::stored(row.name),
            description: Description::stored(row.description),
            built_in: row.built_in,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            version: row.version,
        }
    }
}

impl From<&Permission> for permission::Model {
    fn from(permission: &Permission) -> Self {
        Self {
            id: permission.id.as_str().to_owned(),
            name: permission.name.as_str().to_owned(),
            description: permission.description.as_str().to_owned(),
            built_in: permission.built_in,
            created_at: permission.created_at.as_micros(),
            updated_at: permission.updated_at.as_micros(),
            version: permission.version,
        }
    }
}
