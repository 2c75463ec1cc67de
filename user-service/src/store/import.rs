//! Users from other programs: a batch is one transaction, of as many statements whatever its size.

use std::collections::HashSet;

use identity_kit::{
    audit::Act,
    clock::Timestamp,
    database::{StoreError, WriteTransaction},
};
use sea_orm::{ActiveValue::Set, EntityTrait, IntoActiveModel};

use super::{
    Done, Error, Store,
    audit::{self, Scribe, difference},
    entity::{credential, user, user_import, user_role, user_search, username_skeleton},
    event::{self, kinds},
    grants::ROLES,
    rights::Touched,
    user::{self as users, NewRows},
};
use crate::domain::{
    id::UserId,
    import::{ImportBatch, ImportRefusal, ImportResult, ImportedUser},
    refusal::Refusal,
    user::User,
};

mod known;

use known::Known;

/// How often a batch is tried when somebody else took a name, an address or an external id at the same moment.
const ATTEMPTS: usize = 5;

impl Store {
    /// Imports users and answers what came of each, in their order. One who cannot be created disturbs no other.
    ///
    /// # Errors
    /// `Conflict` when others took what the batch needs again and again; when the database does not carry it out.
    pub async fn import_users(
        &self,
        act: &Act,
        batch: &ImportBatch,
        now: Timestamp,
    ) -> Result<Done<Vec<ImportResult>>, Error> {
        for _ in 0..ATTEMPTS {
            let imported = self
                .write(
                    act.clone(),
                    Touched::Nothing,
                    batch.clone(),
                    move |transaction, scribe, batch| {
                        Box::pin(import(transaction, scribe, batch, now))
                    },
                )
                .await;
            match imported {
                // What was taken meanwhile is there to be seen now, and is the outcome of one user.
                Err(Error::Failed(StoreError::Unique { .. })) => {}
                Ok(done) => {
                    self.note_refused_imports(act, batch, &done.value);
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Refusal::Conflict.into())
    }

    /// Tells the audit log of users who would have got more than the caller holds.
    fn note_refused_imports(&self, act: &Act, batch: &ImportBatch, results: &[ImportResult]) {
        for (user, result) in batch.users.iter().zip(results) {
            if let ImportResult::Refused(ImportRefusal::GrantExceedsCaller(lacking)) = result {
                let act = act.clone().on(audit::user(&user.new.id));
                self.note_refused(act, &Refusal::GrantExceedsCaller(lacking.clone()));
            }
        }
    }
}

async fn import(
    transaction: &WriteTransaction,
    scribe: &Scribe,
    batch: &ImportBatch,
    now: Timestamp,
) -> Result<Vec<ImportResult>, Error> {
    let known = Known::read(transaction, batch).await?;
    let mut taken = HashSet::new();
    let mut created = Vec::new();
    let results = batch
        .users
        .iter()
        .map(|user| match judge(&known, &mut taken, user) {
            Ok(id) => id.map_or_else(
                || {
                    created.push(user);
                    ImportResult::Created(user.new.id.clone())
                },
                ImportResult::Exists,
            ),
            Err(refusal) => ImportResult::Refused(refusal),
        })
        .collect();
    if !batch.dry_run && !created.is_empty() {
        insert(transaction, scribe, batch, &known, &created, now).await?;
    }
    Ok(results)
}

/// The id of a user who was imported before; none for one to be created.
fn judge(
    known: &Known,
    taken: &mut HashSet<(&'static str, String)>,
    user: &ImportedUser,
) -> Result<Option<UserId>, ImportRefusal> {
    if let Some(id) = known.imported.get(user.external_id.as_str()) {
        return Ok(Some(id.clone()));
    }
    let username = ("username", user.new.username.key());
    let alike = user.new.username.skeletons();
    let alike: Vec<_> = alike.into_iter().map(|one| ("look-alike", one)).collect();
    let email = ("email", user.new.email.key());
    if known.usernames.contains(&username.1)
        || taken.contains(&username)
        || alike
            .iter()
            .any(|one| known.look_alikes.contains(&one.1) || taken.contains(one))
    {
        return Err(ImportRefusal::UsernameTaken);
    }
    if known.emails.contains(&email.1) || taken.contains(&email) {
        return Err(ImportRefusal::EmailTaken);
    }
    known.type_of(user)?;
    for name in &user.roles {
        known.may_give(name)?;
    }
    taken.extend(alike);
    taken.extend([username, email]);
    Ok(None)
}

/// Writes those who are to be created: one statement a table.
async fn insert(
    transaction: &WriteTransaction,
    scribe: &Scribe,
    batch: &ImportBatch,
    known: &Known,
    created: &[&ImportedUser],
    now: Timestamp,
) -> Result<(), Error> {
    let mut profiles = Vec::with_capacity(created.len());
    let mut skeletons = Vec::with_capacity(created.len());
    let mut searched = Vec::with_capacity(created.len());
    let mut credentials = Vec::with_capacity(created.len());
    let mut roles = Vec::new();
    let mut imports = Vec::with_capacity(created.len());
    for imported in created {
        let Ok(user_type_id) = known.type_of(imported) else {
            continue;
        };
        let user = User {
            email_verified: imported.email_verified,
            status: imported.status,
            ..users::created(&imported.new, user_type_id, now)
        };
        // Nobody else has chosen the password: it is the user's own.
        let password = imported.hash.clone().map(|hash| (hash, false));
        let rows = NewRows::of(&user, password.as_ref(), now);
        let id = user.id.as_str();
        roles.extend(imported.roles.iter().filter_map(|name| {
            Some(user_role::ActiveModel {
                user_id: Set(id.to_owned()),
                role_id: Set(known.roles.get(name.as_str())?.id.as_str().to_owned()),
                created_at: Set(now.as_micros()),
                ends_at: Set(None),
            })
        }));
        imports.push(user_import::ActiveModel {
            source: Set(batch.source.as_str().to_owned()),
            external_id: Set(imported.external_id.as_str().to_owned()),
            user_id: Set(id.to_owned()),
            created_at: Set(now.as_micros()),
        });
        profiles.push(rows.user.into_active_model());
        skeletons.extend(rows.skeletons);
        searched.push(rows.search);
        credentials.push(rows.credential);
        event::user(transaction, kinds::USER_CREATED, &user.id);
        let given = imported.roles.iter().filter_map(|name| {
            let role = known.roles.get(name.as_str())?;
            Some(role.id.as_str())
        });
        let record = difference(None, &user)
            .fact("has_password", imported.hash.is_some().to_string())
            .fact("source", batch.source.as_str())
            .changed(ROLES, None::<String>, given);
        scribe.done_to(transaction, audit::user(&user.id), record);
        if !imported.roles.is_empty() {
            event::user(transaction, kinds::USER_RIGHTS_CHANGED, &user.id);
        }
    }
    user::Entity::insert_many(profiles)
        .exec_without_returning(transaction)
        .await?;
    username_skeleton::Entity::insert_many(skeletons)
        .exec_without_returning(transaction)
        .await?;
    user_search::Entity::insert_many(searched)
        .exec_without_returning(transaction)
        .await?;
    credential::Entity::insert_many(credentials)
        .exec_without_returning(transaction)
        .await?;
    if !roles.is_empty() {
        user_role::Entity::insert_many(roles)
            .exec_without_returning(transaction)
            .await?;
    }
    user_import::Entity::insert_many(imports)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}
