//! Types of users: create, read, change and delete.

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
    entity::{user, user_type},
    error::taken,
    event, request,
    rights::Touched,
};
use crate::domain::{
    etag::Etag,
    id::UserTypeId,
    name::TypeName,
    page::{NameCursor, Page},
    refusal::Refusal,
    text::Description,
    user_type::{NewUserType, UserType, UserTypeChange},
};

impl Store {
    /// Creates a type, once for each request.
    ///
    /// # Errors
    /// `NameTaken`, `RequestIdReused`.
    pub async fn insert_user_type(
        &self,
        act: Act,
        new: NewUserType,
        request: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<Done<UserType>, Error> {
        self.write(
            act.on(audit::user_type(&new.id)),
            Touched::Nothing,
            (new, request),
            move |transaction, scribe, (new, request)| {
                Box::pin(async move {
                    if let Some(id) =
                        request::claim(transaction, request.as_ref(), new.id.as_str(), now).await?
                    {
                        return get(transaction, &UserTypeId::stored(id)).await;
                    }
                    let user_type = insert(transaction, new, false, now).await?;
                    scribe.done(transaction, difference(None, &user_type));
                    Ok(user_type)
                })
            },
        )
        .await
    }

    /// One type.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_user_type(&self, id: &UserTypeId) -> Result<Option<UserType>, Error> {
        let row = user_type::Entity::find_by_id(id.as_str())
            .one(self.database.reader())
            .await?;
        Ok(row.map(UserType::from))
    }

    /// A page of at most `size` by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_user_types(
        &self,
        after: Option<&NameCursor>,
        size: u64,
    ) -> Result<Page<UserType, NameCursor>, Error> {
        let mut query = user_type::Entity::find()
            .order_by_asc(user_type::Column::Name)
            .limit(size + 1);
        if let Some(cursor) = after {
            query = query.filter(user_type::Column::Name.gt(cursor.name.as_str()));
        }
        let rows = query.all(self.database.reader()).await?;
        let items = rows.into_iter().map(UserType::from).collect();
        Ok(Page::cut(items, size, |item: &UserType| NameCursor {
            name: item.name.as_str().to_owned(),
        }))
    }

    /// Changes parts of a type.
    ///
    /// # Errors
    /// `UserTypeNotFound`, `EtagMismatch`, `NameTaken`, `BuiltIn`.
    pub async fn update_user_type(
        &self,
        act: Act,
        id: UserTypeId,
        change: UserTypeChange,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<UserType>, Error> {
        self.write(
            act.on(audit::user_type(&id)),
            Touched::Nothing,
            (id, change, etag),
            move |transaction, scribe, (id, change, etag)| {
                Box::pin(async move {
                    let user_type = lock(transaction, id).await?;
                    check_etag(&user_type, etag.as_ref())?;
                    if change.is_empty() {
                        return Ok(user_type);
                    }
                    let renamed = change
                        .name
                        .as_ref()
                        .is_some_and(|name| *name != user_type.name);
                    if user_type.built_in && renamed {
                        return Err(Refusal::BuiltIn.into());
                    }
                    let (before, change) = (user_type.clone(), change.clone());
                    let user_type = UserType {
                        name: change.name.unwrap_or(user_type.name),
                        description: change.description.unwrap_or(user_type.description),
                        updated_at: now,
                        version: user_type.version + 1,
                        ..user_type
                    };
                    user_type::Entity::update(
                        user_type::Model::from(&user_type)
                            .into_active_model()
                            .reset_all(),
                    )
                    .exec_without_returning(transaction)
                    .await
                    .map_err(name_taken)?;
                    event::user_type(transaction, id);
                    scribe.done(transaction, difference(Some(&before), &user_type));
                    Ok(user_type)
                })
            },
        )
        .await
    }

    /// Deletes a type that no user has.
    ///
    /// # Errors
    /// `UserTypeNotFound`, `EtagMismatch`, `BuiltIn`, `UserTypeInUse`.
    pub async fn delete_user_type(
        &self,
        act: Act,
        id: UserTypeId,
        etag: Option<Etag>,
    ) -> Result<Done<()>, Error> {
        let act = act.on(audit::user_type(&id));
        self.write(
            act,
            Touched::Nothing,
            (id, etag),
            |transaction, scribe, (id, etag)| {
                Box::pin(async move {
                    let user_type = lock(transaction, id).await?;
                    if user_type.built_in {
                        return Err(Refusal::BuiltIn.into());
                    }
                    check_etag(&user_type, etag.as_ref())?;
                    let users = user::Entity::find()
                        .filter(user::Column::UserTypeId.eq(id.as_str()))
                        .limit(1)
                        .all(transaction)
                        .await?;
                    if !users.is_empty() {
                        return Err(Refusal::UserTypeInUse(id.clone()).into());
                    }
                    user_type::Entity::delete_by_id(id.as_str())
                        .exec(transaction)
                        .await?;
                    event::user_type(transaction, id);
                    let name = user_type.name.as_str();
                    let record = Record::default().changed("name", [name], None::<String>);
                    scribe.done(transaction, record.erasing());
                    Ok(())
                })
            },
        )
        .await
    }
}

/// What is different between two states of a type; `None` before the beginning.
fn difference(before: Option<&UserType>, after: &UserType) -> Record {
    let name = |user_type: &UserType| user_type.name.as_str().to_owned();
    let description = |of: &UserType| said(of.description.as_str()).map(str::to_owned);
    Record::default()
        .changed("name", before.map(name), [name(after)])
        .personal(
            "description",
            before.and_then(description),
            description(after),
        )
}

/// Inserts a type.
pub(super) async fn insert(
    transaction: &WriteTransaction,
    new: &NewUserType,
    built_in: bool,
    now: Timestamp,
) -> Result<UserType, Error> {
    let new = new.clone();
    let user_type = UserType {
        id: new.id,
        name: new.name,
        description: new.description,
        built_in,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    user_type::Entity::insert(user_type::Model::from(&user_type).into_active_model())
        .exec_without_returning(transaction)
        .await
        .map_err(name_taken)?;
    event::user_type(transaction, &user_type.id);
    Ok(user_type)
}

/// The type, whose row stays as it is until the transaction ends.
async fn lock(transaction: &WriteTransaction, id: &UserTypeId) -> Result<UserType, Error> {
    let row = user_type::Entity::find_by_id(id.as_str())
        .lock_exclusive()
        .one(transaction)
        .await?;
    found(row, id)
}

async fn get(transaction: &WriteTransaction, id: &UserTypeId) -> Result<UserType, Error> {
    found(
        user_type::Entity::find_by_id(id.as_str())
            .one(transaction)
            .await?,
        id,
    )
}

fn found(row: Option<user_type::Model>, id: &UserTypeId) -> Result<UserType, Error> {
    row.map(UserType::from)
        .ok_or_else(|| Refusal::UserTypeNotFound(id.clone()).into())
}

fn check_etag(user_type: &UserType, etag: Option<&Etag>) -> Result<(), Refusal> {
    match etag {
        Some(etag) if *etag != user_type.etag() => Err(Refusal::EtagMismatch),
        _ => Ok(()),
    }
}

fn name_taken(error: DbErr) -> Error {
    taken(error, |_| Some(Refusal::NameTaken))
}

impl From<user_type::Model> for UserType {
    fn from(row: user_type::Model) -> Self {
        Self {
            id: UserTypeId::stored(row.id),
            name: TypeName::stored(row.name),
            description: Description::stored(row.description),
            built_in: row.built_in,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            version: row.version,
        }
    }
}

impl From<&UserType> for user_type::Model {
    fn from(user_type: &UserType) -> Self {
        Self {
            id: user_type.id.as_str().to_owned(),
            name: user_type.name.as_str().to_owned(),
            description: user_type.description.as_str().to_owned(),
            built_in: user_type.built_in,
            created_at: user_type.created_at.as_micros(),
            updated_at: user_type.updated_at.as_micros(),
            version: user_type.version,
        }
    }
}
