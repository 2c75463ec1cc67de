//! Addresses that wait to be proven: begun accounts and changes, and what a token brings about.

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use super::{
    Done, Error, RequestKey, Store,
    audit::{self, Scribe, difference},
    corrupt,
    entity::email_proof,
    error::taken,
    event::{self, kinds},
    request,
    rights::Touched,
    user as users,
};
use crate::domain::{
    credential::PasswordHash,
    email::Email,
    email_proof::{Begun, EmailToken, LIFE},
    id::UserId,
    refusal::Refusal,
    text::PersonName,
    user::{NewUser, User, UserChange, UserStatus},
    username::Username,
};

/// The most proofs that are forgotten in one statement.
const AT_ONCE: u64 = 500;

impl Store {
    /// Keeps an account that was begun until its address is proven; the answer is until when. Whether somebody has the
    /// address is not looked at.
    ///
    /// # Errors
    /// `UsernameTaken`, also by another account that was begun.
    pub async fn insert_registration(
        &self,
        act: Act,
        id: String,
        new: NewUser,
        now: Timestamp,
    ) -> Result<Timestamp, Error> {
        let done = self.write(
            act,
            Touched::Nothing,
            (id, new),
            move |transaction, _, (id, new)| {
                Box::pin(async move {
                    users::refuse_taken_username(transaction, &new.username, &new.id).await?;
                    email_proof::Entity::delete_many()
                        .filter(email_proof::Column::UsernameKey.eq(new.username.key()))
                        .filter(email_proof::Column::ExpiresAt.lte(now.as_micros()))
                        .exec(transaction)
                        .await?;
                    let row = email_proof::ActiveModel {
                        username: Set(Some(new.username.as_str().to_owned())),
                        username_key: Set(Some(new.username.key())),
                        first_name: Set(Some(new.first_name.as_str().to_owned())),
                        last_name: Set(Some(new.last_name.as_str().to_owned())),
                        ..waiting(id, &new.id, &new.email, now)
                    };
                    insert(transaction, row).await?;
                    Ok(now.plus(LIFE))
                })
            },
        );
        Ok(done.await?.value)
    }

    /// Keeps a user's new address until it is proven, instead of one from before; the answer is until when. Whether
    /// somebody has the address is not looked at.
    ///
    /// # Errors
    /// `UserNotFound`.
    pub async fn insert_email_change(
        &self,
        act: Act,
        id: String,
        user_id: UserId,
        email: Email,
        now: Timestamp,
    ) -> Result<Timestamp, Error> {
        let done = self.write(
            act.on(audit::user(&user_id)),
            Touched::Nothing,
            (id, user_id, email),
            move |transaction, scribe, (id, user_id, email)| {
                Box::pin(async move {
                    // The lock puts two requests of one user one after the other.
                    users::lock(transaction, user_id).await?;
                    email_proof::Entity::delete_many()
                        .filter(email_proof::Column::UserId.eq(user_id.as_str()))
                        .exec(transaction)
                        .await?;
                    insert(transaction, waiting(id, user_id, email, now)).await?;
                    let record = Record::default();
                    let record = record.personal("waiting_email", None::<String>, [email.as_str()]);
                    scribe.done(transaction, record);
                    Ok(now.plus(LIFE))
                })
            },
        );
        Ok(done.await?.value)
    }

    /// What waits for the proof of a token.
    ///
    /// # Errors
    /// `EmailTokenInvalid`.
    pub async fn find_begun(&self, token: &EmailToken, now: Timestamp) -> Result<Begun, Error> {
        let row = email_proof::Entity::find_by_id(token.id())
            .one(self.database.reader())
            .await?;
        begun(good(row, token, now)?)
    }

    /// Proves an address by its token: what waited for that happens, once. An account needs the hash of its password,
    /// a change of an address has none.
    ///
    /// # Errors
    /// `EmailTokenInvalid`, `UsernameTaken`, `EmailTaken`.
    pub async fn confirm_email(
        &self,
        act: Act,
        token: EmailToken,
        hash: Option<PasswordHash>,
        now: Timestamp,
    ) -> Result<Done<UserId>, Error> {
        self.write(
            act,
            Touched::Nothing,
            (token, hash),
            move |transaction, scribe, (token, hash)| {
                Box::pin(async move {
                    let row = email_proof::Entity::find_by_id(token.id())
                        .lock_exclusive()
                        .one(transaction)
                        .await?;
                    let row = good(row, token, now)?;
                    email_proof::Entity::delete_by_id(token.id())
                        .exec(transaction)
                        .await?;
                    let id = UserId::stored(row.user_id.clone());
                    match (begun(row)?, hash) {
                        (Begun::Account(new), Some(hash)) => {
                            let password = Some((hash.clone(), false));
                            let user =
                                users::insert_as(transaction, &new, password.as_ref(), true, now)
                                    .await?;
                            scribe.done_to(transaction, audit::user(&id), difference(None, &user));
                        }
                        (Begun::Change(email), None) => {
                            change_email(transaction, scribe, &id, email, now).await?;
                        }
                        (Begun::Account(_), None) | (Begun::Change(_), Some(_)) => {
                            return Err(Refusal::EmailTokenInvalid.into());
                        }
                    }
                    Ok(id)
                })
            },
        )
        .await
    }

    /// Says that a user has proven the own address.
    ///
    /// # Errors
    /// `UserNotFound`; `Conflict` when it is not the user's, or no longer.
    pub async fn confirm_address(
        &self,
        act: Act,
        id: UserId,
        email: Email,
        now: Timestamp,
    ) -> Result<Done<()>, Error> {
        self.write(
            act.on(audit::user(&id)),
            Touched::Nothing,
            (id, email),
            move |transaction, scribe, (id, email)| {
                Box::pin(async move {
                    let before = users::lock(transaction, id).await?;
                    if before.email.key() != email.key() {
                        return Err(Refusal::Conflict.into());
                    }
                    if before.email_verified {
                        return Ok(());
                    }
                    let after = User {
                        email_verified: true,
                        updated_at: now,
                        version: before.version + 1,
                        ..before.clone()
                    };
                    users::store(transaction, &before, &after).await?;
                    event::user(transaction, kinds::USER_UPDATED, id);
                    scribe.done(transaction, difference(Some(&before), &after));
                    Ok(())
                })
            },
        )
        .await
    }

    /// Creates an active user without a password, whose address another provider has proven; once for each request.
    ///
    /// # Errors
    /// `UsernameTaken`, `EmailTaken`, `RequestIdReused`, `UserNotFound` when it was deleted since.
    pub async fn insert_federated_user(
        &self,
        act: Act,
        new: NewUser,
        request: RequestKey,
        now: Timestamp,
    ) -> Result<Done<User>, Error> {
        self.write(
            act.on(audit::user(&new.id)),
            Touched::Nothing,
            (new, request),
            move |transaction, scribe, (new, request)| {
                Box::pin(async move {
                    if let Some(id) =
                        request::claim(transaction, Some(request), new.id.as_str(), now).await?
                    {
                        return users::get(transaction, &UserId::stored(id)).await;
                    }
                    let user = users::insert_as(transaction, new, None, true, now).await?;
                    scribe.done(transaction, difference(None, &user));
                    Ok(user)
                })
            },
        )
        .await
    }

    /// Forgets what has waited for too long.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn purge_email_proofs(&self, now: Timestamp) -> Result<(), Error> {
        loop {
            let purged = self
                .write(
                    audit::upkeep("ForgetProofs"),
                    Touched::Nothing,
                    now,
                    |transaction, _, now| {
                        Box::pin(async move {
                            let old = email_proof::Entity::find()
                                .select_only()
                                .column(email_proof::Column::Id)
                                .filter(email_proof::Column::ExpiresAt.lte(now.as_micros()))
                                .order_by_asc(email_proof::Column::ExpiresAt)
                                .order_by_asc(email_proof::Column::Id)
                                .limit(AT_ONCE);
                            let deleted = email_proof::Entity::delete_many()
                                .filter(email_proof::Column::Id.in_subquery(old.into_query()))
                                .exec(transaction)
                                .await?;
                            Ok(deleted.rows_affected)
                        })
                    },
                )
                .await?;
            if purged.value < AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// Forgets what waits for a user or at the user's address.
pub(super) async fn forget(transaction: &WriteTransaction, user: &User) -> Result<(), Error> {
    let of_user = email_proof::Column::UserId
        .eq(user.id.as_str())
        .or(email_proof::Column::EmailKey.eq(user.email.key()));
    email_proof::Entity::delete_many()
        .filter(of_user)
        .exec(transaction)
        .await?;
    Ok(())
}

/// A proof that nobody has heard of yet.
fn waiting(id: &str, user_id: &UserId, email: &Email, now: Timestamp) -> email_proof::ActiveModel {
    email_proof::ActiveModel {
        id: Set(id.to_owned()),
        user_id: Set(user_id.as_str().to_owned()),
        email: Set(email.as_str().to_owned()),
        email_key: Set(email.key()),
        username: Set(None),
        username_key: Set(None),
        first_name: Set(None),
        last_name: Set(None),
        secret_hash: Set(None),
        claims: Set(0),
        claimed_until: Set(now.as_micros()),
        expires_at: Set(now.plus(LIFE).as_micros()),
    }
}

async fn insert(
    transaction: &WriteTransaction,
    row: email_proof::ActiveModel,
) -> Result<(), Error> {
    email_proof::Entity::insert(row)
        .exec_without_returning(transaction)
        .await
        .map_err(|error| {
            taken(error, |constraint| {
                constraint
                    .contains("username_key")
                    .then_some(Refusal::UsernameTaken)
            })
        })?;
    Ok(())
}

async fn change_email(
    transaction: &WriteTransaction,
    scribe: &Scribe,
    id: &UserId,
    email: Email,
    now: Timestamp,
) -> Result<(), Error> {
    let before = match users::lock(transaction, id).await {
        Err(Error::Refused(Refusal::UserNotFound(_))) => {
            return Err(Refusal::EmailTokenInvalid.into());
        }
        other => other?,
    };
    if before.status != UserStatus::Active {
        return Err(Refusal::EmailTokenInvalid.into());
    }
    let change = UserChange {
        email: Some(email),
        ..UserChange::default()
    };
    let after = User {
        email_verified: true,
        ..change.apply(before.clone(), now)
    };
    users::store(transaction, &before, &after).await?;
    event::user(transaction, kinds::USER_UPDATED, id);
    let record = difference(Some(&before), &after);
    scribe.done_to(transaction, audit::user(id), record);
    Ok(())
}

/// The row of a token that is good now.
fn good(
    row: Option<email_proof::Model>,
    token: &EmailToken,
    now: Timestamp,
) -> Result<email_proof::Model, Refusal> {
    row.filter(|row| {
        let secret_hash = row.secret_hash.as_deref();
        secret_hash.is_some_and(|stored| token.matches(stored)) && row.expires_at > now.as_micros()
    })
    .ok_or(Refusal::EmailTokenInvalid)
}

fn begun(row: email_proof::Model) -> Result<Begun, Error> {
    let email = Email::stored(row.email);
    let Some(username) = row.username else {
        return Ok(Begun::Change(email));
    };
    let name = |name: Option<String>| {
        name.map(PersonName::stored)
            .ok_or_else(|| corrupt("a registration has no name"))
    };
    Ok(Begun::Account(Box::new(NewUser {
        id: UserId::stored(row.user_id),
        username: Username::stored(username),
        email,
        first_name: name(row.first_name)?,
        last_name: name(row.last_name)?,
        phone: None,
        address: None,
        user_type_id: None,
    })))
}
