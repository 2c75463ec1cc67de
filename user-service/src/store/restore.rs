//! What makes of a database that was put back to an earlier copy one that can be served.

use futures_util::{StreamExt, TryStreamExt, stream};
use identity_kit::{
    audit::{Act, Actor, Record, Subject},
    clock::Timestamp,
    outbox,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{
    Done, Error, Store, administrators, audit,
    entity::user as users,
    rights::Touched,
    user::{self, remove},
};
use crate::domain::{id::UserId, refusal::Refusal};

/// The verb, as the audit log names it.
const AFTER_RESTORE: &str = "after-restore";
/// Users who are erased at once.
const AT_ONCE: usize = 8;

impl Store {
    /// Begins what a restore asks for: from now on the database is not served until that has ended.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn begin_restore(&self) -> Result<(), Error> {
        self.write(
            act(Subject::new("database", "")),
            Touched::Nothing,
            (),
            |transaction, _, ()| {
                Box::pin(async move { Ok(outbox::begin_restore(transaction).await?) })
            },
        )
        .await?;
        Ok(())
    }

    /// Erases those of these users who are there again, as a deletion does, whatever they hold: it was decided before.
    /// How many there were.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn erase_again(&self, ids: &[String]) -> Result<u64, Error> {
        let alive: Vec<String> = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(users::Column::Id.is_in(ids))
            .into_tuple()
            .all(self.database.reader())
            .await?;
        stream::iter(alive)
            .map(|id| self.erase(UserId::stored(id)))
            .buffer_unordered(AT_ONCE)
            .try_fold(0, async |sum, erased| Ok(sum + u64::from(erased.value)))
            .await
    }

    /// Ends the epoch of the feed and begins another one, which is the last step: what `erased` says was done before.
    /// `lost` is an epoch that the restored copy knows nothing of.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn finish_restore(
        &self,
        lost: Option<String>,
        epoch: String,
        erased: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.write(
            act(Subject::new("database", "")),
            Touched::Everybody,
            (lost, epoch),
            move |transaction, scribe, (lost, epoch)| {
                Box::pin(async move {
                    outbox::finish_restore(transaction, lost.as_deref(), epoch, now).await?;
                    let record = Record::default().fact("erased_users", erased.to_string());
                    scribe.done(transaction, record);
                    Ok(())
                })
            },
        )
        .await?;
        Ok(())
    }

    /// Erases one user; whether there was one.
    async fn erase(&self, id: UserId) -> Result<Done<bool>, Error> {
        let touched = Touched::User(id.clone());
        self.write(
            act(audit::user(&id)),
            touched,
            id,
            move |transaction, scribe, id| {
                Box::pin(async move {
                    administrators::lock(transaction).await?;
                    match user::lock(transaction, id).await {
                        Ok(user) => remove(transaction, scribe, &user).await.map(|()| true),
                        Err(Error::Refused(Refusal::UserNotFound(_))) => Ok(false),
                        Err(error) => Err(error),
                    }
                })
            },
        )
        .await
    }
}

fn act(subject: Subject) -> Act {
    Act::new(Actor::operator(AFTER_RESTORE), AFTER_RESTORE).on(subject)
}
