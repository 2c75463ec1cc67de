//! Password hashes: replaced only when they are as they were read.

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::StoreError,
};
use sea_orm::{ActiveValue::Set, EntityTrait, QuerySelect};

use super::{Done, Error, Store, audit, corrupt, entity::credential, event, rights::Touched};
use crate::domain::{credential::HashChange, refusal::Refusal};

impl Store {
    /// Sets a hash, once for each operation, and answers the new version of the credential.
    ///
    /// # Errors
    /// `UserNotFound`; `Conflict` when the credential has changed since it was read.
    pub async fn set_password_hash(
        &self,
        act: Act,
        change: HashChange,
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        let act = act.on(audit::user(&change.user_id));
        self.write(
            act,
            Touched::Nothing,
            change,
            move |transaction, scribe, change| {
                Box::pin(async move {
                    let row = credential::Entity::find_by_id(change.user_id.as_str())
                        .lock_exclusive()
                        .one(transaction)
                        .await?
                        .ok_or_else(|| Refusal::UserNotFound(change.user_id.as_str().to_owned()))?;
                    if row.operation_id.as_deref() == Some(change.operation_id.as_str()) {
                        return Ok(version(row.version)?);
                    }
                    if version(row.version)? != change.expected_version {
                        return Err(Refusal::Conflict.into());
                    }
                    let next = row.version + 1;
                    credential::Entity::update(credential::ActiveModel {
                        user_id: Set(row.user_id),
                        password_hash: Set(Some(change.hash.expose().to_owned())),
                        change_required: Set(
                            row.change_required && !change.cause.is_chosen_by_user()
                        ),
                        version: Set(next),
                        operation_id: Set(Some(change.operation_id.as_str().to_owned())),
                        updated_at: Set(now.as_micros()),
                    })
                    .exec_without_returning(transaction)
                    .await?;
                    let next = version(next)?;
                    event::password_changed(transaction, change, next);
                    scribe.done(transaction, record(change, next));
                    Ok(next)
                })
            },
        )
        .await
    }
}

/// What the audit log says of a change: never the hash.
fn record(change: &HashChange, version: u64) -> Record {
    let record = Record::default()
        .fact("cause", change.cause.as_str())
        .fact("operation_id", change.operation_id.as_str())
        .fact("credential_version", version.to_string());
    match &change.spared_session_id {
        Some(id) => record.fact("spared_session_id", id.as_str()),
        None => record,
    }
}

pub(super) fn version(stored: i64) -> Result<u64, StoreError> {
    u64::try_from(stored).map_err(|_| corrupt("a credential has a negative version"))
}
