//! Users: create, read, change and delete.

mod row;

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};

pub(super) use self::row::NewRows;
use super::{
    Done, Error, RequestKey, Store, administrators,
    audit::{self, Scribe, difference},
    corrupt, email_proof,
    entity::{credential, user, user_search, user_type, username_skeleton},
    error::taken,
    event::{self, kinds},
    held, request,
    rights::Touched,
};
use crate::domain::{
    credential::PasswordHash,
    etag::Etag,
    id::{UserId, UserTypeId},
    refusal::Refusal,
    search::SearchText,
    text::Reason,
    user::{NewUser, User, UserChange, UserStatus},
    username::Username,
};

impl Store {
    /// Creates an active user, once for each request.
    ///
    /// A `password` comes with whether it must be changed at the first login.
    ///
    /// # Errors
    /// `UsernameTaken`, `EmailTaken`, `UserTypeNotFound`, `RequestIdReused`.
    pub async fn insert_user(
        &self,
        act: Act,
        new: NewUser,
        password: Option<(PasswordHash, bool)>,
        request: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<Done<User>, Error> {
        self.write(
            act.on(audit::user(&new.id)),
            Touched::Nothing,
            (new, password, request),
            move |transaction, scribe, (new, password, request)| {
                Box::pin(async move {
                    if let Some(id) =
                        request::claim(transaction, request.as_ref(), new.id.as_str(), now).await?
                    {
                        return get(transaction, &UserId::stored(id)).await;
                    }
                    let user = insert(transaction, new, password.as_ref(), now).await?;
                    let has_password = password.is_some().to_string();
                    let record = difference(None, &user).fact("has_password", has_password);
                    scribe.done(transaction, record);
                    Ok(user)
                })
            },
        )
        .await
    }

    /// One user.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let row = user::Entity::find_by_id(id.as_str())
            .one(self.database.reader())
            .await?;
        Ok(row.map(User::try_from).transpose()?)
    }

    /// Changes parts of a profile.
    ///
    /// # Errors
    /// `UserNotFound`, `GrantExceedsCaller`, `EtagMismatch`, `UsernameTaken`, `UserTypeNotFound`, `EmailTaken`.
    pub async fn update_user(
        &self,
        act: Act,
        id: UserId,
        change: UserChange,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<User>, Error> {
        self.write(
            act.on(audit::user(&id)),
            Touched::Nothing,
            (id, change, etag),
            move |transaction, scribe, (id, change, etag)| {
                Box::pin(async move {
                    let user = held::lock_inferior(transaction, &scribe.caller, id, now).await?;
                    check_etag(&user, etag.as_ref())?;
                    if change.is_empty() {
                        return Ok(user);
                    }
                    if let Some(username) = &change.username
                        && *username != user.username
                    {
                        refuse_taken_username(transaction, username, id).await?;
                    }
                    if let Some(type_id) = &change.user_type_id {
                        find_type(transaction, Some(type_id)).await?;
                    }
                    let changed = change.apply(user.clone(), now);
                    store(transaction, &user, &changed).await?;
                    event::user(transaction, kinds::USER_UPDATED, id);
                    scribe.done(transaction, difference(Some(&user), &changed));
                    Ok(changed)
                })
            },
        )
        .await
    }

    /// Sets a status. A user who has it already stays as they are, whatever the etag.
    ///
    /// # Errors
    /// `UserNotFound`, `GrantExceedsCaller`, `EtagMismatch`, `LastAdministrator`.
    pub async fn set_user_status(
        &self,
        act: Act,
        id: UserId,
        status: UserStatus,
        reason: Reason,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<User>, Error> {
        let touched = Touched::User(id.clone());
        self.write(
            act.on(audit::user(&id)),
            touched,
            (id, reason, etag),
            move |transaction, scribe, (id, reason, etag)| {
                Box::pin(async move {
                    // Before the user's row: every transaction takes the two locks in this order.
                    let admin = administrators::lock(transaction).await?;
                    let user = held::lock_inferior(transaction, &scribe.caller, id, now).await?;
                    if user.status == status {
                        return Ok(user);
                    }
                    check_etag(&user, etag.as_ref())?;
                    if status != UserStatus::Active {
                        administrators::spare_the_last(transaction, &admin, &user).await?;
                    }
                    let changed = User {
                        status,
                        status_reason: reason.clone(),
                        updated_at: now,
                        version: user.version + 1,
                        ..user.clone()
                    };
                    store(transaction, &user, &changed).await?;
                    event::user_status(transaction, id, status.as_str());
                    scribe.done(transaction, difference(Some(&user), &changed));
                    Ok(changed)
                })
            },
        )
        .await
    }

    /// Deletes a user with everything that is held about them; what the audit log says about the person cannot be read
    /// from then on.
    ///
    /// # Errors
    /// `UserNotFound`, `GrantExceedsCaller`, `EtagMismatch`, `LastAdministrator`.
    pub async fn delete_user(
        &self,
        act: Act,
        id: UserId,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<()>, Error> {
        let touched = Touched::User(id.clone());
        self.write(
            act.on(audit::user(&id)),
            touched,
            (id, etag),
            move |transaction, scribe, (id, etag)| {
                Box::pin(async move {
                    let admin = administrators::lock(transaction).await?;
                    let user = held::lock_inferior(transaction, &scribe.caller, id, now).await?;
                    check_etag(&user, etag.as_ref())?;
                    administrators::spare_the_last(transaction, &admin, &user).await?;
                    remove(transaction, scribe, &user).await
                })
            },
        )
        .await
    }
}

/// Removes a locked user with everything that is held about them.
pub(super) async fn remove(
    transaction: &WriteTransaction,
    scribe: &Scribe,
    user: &User,
) -> Result<(), Error> {
    request::forget(transaction, &user.id).await?;
    email_proof::forget(transaction, user).await?;
    // Credential, roles, permissions and what a search looks at go with the row.
    user::Entity::delete_by_id(user.id.as_str())
        .exec(transaction)
        .await?;
    event::user(transaction, kinds::USER_DELETED, &user.id);
    let record = Record::default()
        .changed("status", [user.status.as_str()], None::<String>)
        .changed("user_type_id", [user.user_type_id.as_str()], None::<String>);
    scribe.done(transaction, record.erasing());
    Ok(())
}

/// Inserts a user with the credential; the address is not proven.
pub(super) async fn insert(
    transaction: &WriteTransaction,
    new: &NewUser,
    password: Option<&(PasswordHash, bool)>,
    now: Timestamp,
) -> Result<User, Error> {
    insert_as(transaction, new, password, false, now).await
}

/// The same, and says whether the address is proven.
pub(super) async fn insert_as(
    transaction: &WriteTransaction,
    new: &NewUser,
    password: Option<&(PasswordHash, bool)>,
    email_verified: bool,
    now: Timestamp,
) -> Result<User, Error> {
    refuse_taken_username(transaction, &new.username, &new.id).await?;
    let user_type_id = find_type(transaction, new.user_type_id.as_ref()).await?;
    let user = User {
        email_verified,
        ..created(new, user_type_id, now)
    };
    let rows = NewRows::of(&user, password, now);
    user::Entity::insert(rows.user.into_active_model())
        .exec_without_returning(transaction)
        .await
        .map_err(name_or_email_taken)?;
    username_skeleton::Entity::insert_many(rows.skeletons)
        .exec_without_returning(transaction)
        .await
        .map_err(name_or_email_taken)?;
    user_search::Entity::insert(rows.search)
        .exec_without_returning(transaction)
        .await?;
    credential::Entity::insert(rows.credential)
        .exec_without_returning(transaction)
        .await?;
    event::user(transaction, kinds::USER_CREATED, &user.id);
    Ok(user)
}

/// The active user that is made of a new one.
pub(super) fn created(new: &NewUser, user_type_id: UserTypeId, now: Timestamp) -> User {
    let new = new.clone();
    User {
        id: new.id,
        username: new.username,
        email: new.email,
        email_verified: false,
        first_name: new.first_name,
        last_name: new.last_name,
        phone: new.phone,
        address: new.address,
        status: UserStatus::Active,
        status_reason: Reason::stored(String::new()),
        user_type_id,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// Refuses a username that another user has, or one that looks like it, before the address is looked at, so that both
/// engines name the same of two. What comes at the same time is refused by the keys.
pub(super) async fn refuse_taken_username(
    transaction: &WriteTransaction,
    username: &Username,
    own: &UserId,
) -> Result<(), Error> {
    let same = user::Entity::find()
        .filter(user::Column::UsernameKey.eq(username.key()))
        .filter(user::Column::Id.ne(own.as_str()))
        .one(transaction)
        .await?;
    if same.is_some() {
        return Err(Refusal::UsernameTaken.into());
    }
    let alike = username_skeleton::Entity::find()
        .filter(username_skeleton::Column::Skeleton.is_in(username.skeletons()))
        .filter(username_skeleton::Column::UserId.ne(own.as_str()))
        .one(transaction)
        .await?;
    match alike {
        Some(_) => Err(Refusal::UsernameTaken.into()),
        None => Ok(()),
    }
}

/// The user, whose row stays as it is until the transaction ends.
pub(super) async fn lock(transaction: &WriteTransaction, id: &UserId) -> Result<User, Error> {
    let row = user::Entity::find_by_id(id.as_str())
        .lock_exclusive()
        .one(transaction)
        .await?;
    found(row, id)
}

pub(super) async fn get(transaction: &WriteTransaction, id: &UserId) -> Result<User, Error> {
    found(
        user::Entity::find_by_id(id.as_str())
            .one(transaction)
            .await?,
        id,
    )
}

fn found(row: Option<user::Model>, id: &UserId) -> Result<User, Error> {
    let row = row.ok_or_else(|| Refusal::UserNotFound(id.as_str().to_owned()))?;
    Ok(row.try_into()?)
}

/// The type asked for, or the default one; it cannot be deleted until the transaction ends.
async fn find_type(
    transaction: &WriteTransaction,
    id: Option<&UserTypeId>,
) -> Result<UserTypeId, Error> {
    let query = match id {
        Some(id) => user_type::Entity::find_by_id(id.as_str()),
        None => user_type::Entity::find().filter(user_type::Column::BuiltIn.eq(true)),
    };
    match (query.lock_shared().one(transaction).await?, id) {
        (Some(row), _) => Ok(UserTypeId::stored(row.id)),
        (None, Some(id)) => Err(Refusal::UserTypeNotFound(id.clone()).into()),
        (None, None) => Err(corrupt("there is no default user type").into()),
    }
}

/// Writes what has become of a user.
pub(super) async fn store(
    transaction: &WriteTransaction,
    before: &User,
    user: &User,
) -> Result<(), Error> {
    user::Entity::update(user::Model::from(user).into_active_model().reset_all())
        .exec_without_returning(transaction)
        .await
        .map_err(name_or_email_taken)?;
    // A name from before look-alikes were refused may have no skeleton of its own.
    if user.username != before.username {
        username_skeleton::Entity::delete_many()
            .filter(username_skeleton::Column::UserId.eq(user.id.as_str()))
            .exec(transaction)
            .await?;
        username_skeleton::Entity::insert_many(row::skeletons(user))
            .exec_without_returning(transaction)
            .await
            .map_err(name_or_email_taken)?;
    }
    if SearchText::of(user) != SearchText::of(before) {
        user_search::Entity::update(row::search(user))
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

fn check_etag(user: &User, etag: Option<&Etag>) -> Result<(), Refusal> {
    match etag {
        Some(etag) if *etag != user.etag() => Err(Refusal::EtagMismatch),
        _ => Ok(()),
    }
}

fn name_or_email_taken(error: sea_orm::DbErr) -> Error {
    taken(error, |constraint| {
        if constraint.contains("username_key") || constraint.contains("skeleton") {
            Some(Refusal::UsernameTaken)
        } else if constraint.contains("email_key") {
            Some(Refusal::EmailTaken)
        } else {
            None
        }
    })
}
