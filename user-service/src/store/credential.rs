//! Password hashes: replaced only when they are as they were read.

use identity_kit::{clock::Timestamp, database::StoreError};
use sea_orm::{ActiveValue::Set, EntityTrait, QuerySelect};

use super::{Done, Error, Store, corrupt, entity::credential, event, rights::Touched};
use crate::domain::{credential::HashChange, refusal::Refusal};

impl Store {
    /// Sets a hash, once for each operation, and answers the new version of the credential.
    ///
    /// # Errors
    /// `UserNotFound`; `Conflict` when the credential has changed since it was read.
    pub async fn set_password_hash(
        &self,
        change: HashChange,
        now: Timestamp,
    ) -> Result<Done<u64>, Error> {
        self.write(Touched::Nothing, change, move |transaction, change| {
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
                    change_required: Set(row.change_required && !change.cause.is_chosen_by_user()),
                    version: Set(next),
                    operation_id: Set(Some(change.operation_id.as_str().to_owned())),
                    updated_at: Set(now.as_micros()),
                })
                .exec_without_returning(transaction)
                .await?;
                let next = version(next)?;
                event::password_changed(transaction, change, next);
                Ok(next)
            })
        })
        .await
    }
}

pub(super) fn version(stored: i64) -> Result<u64, StoreError> {
    u64::try_from(stored).map_err(|_| corrupt("a credential has a negative version"))
}
