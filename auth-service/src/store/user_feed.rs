//! What user-service tells, applied together with how far it has been applied.

use std::sync::Arc;

use identity_kit::{
    database::{Database, StoreError, WriteTransaction, Written},
    outbox::Cursor,
    position::Position,
};
use sea_orm::{ConnectionTrait, DbBackend};

use super::{
    endings::{self, Ended, Ending},
    values::{statement, to_column, to_count},
};
use crate::domain::{
    event::AccessEvent, id::UserId, policy::SessionPolicy, user_change::UserChange,
};
use identity_guard::clock::Timestamp;

/// A change and its place in the feed of user-service.
#[derive(Debug, Clone)]
pub struct PlacedChange {
    /// The place.
    pub cursor: Cursor,
    /// The change.
    pub change: UserChange,
}

/// How far the feed has been applied; nothing before the first snapshot.
///
/// # Errors
///
/// Those of the store.
pub async fn cursor(connection: &impl ConnectionTrait) -> Result<Option<Cursor>, StoreError> {
    const CURSOR: &str = "SELECT epoch, revision, nonce FROM user_feed WHERE id = 1";
    read(connection, CURSOR).await
}

/// Applies changes that follow each other, all in one transaction; those that were applied before are passed over. Gives
/// what ended by them.
///
/// # Errors
///
/// [`StoreError::Conflict`] when the feed has come to another history meanwhile, or those of the store.
pub async fn apply(
    database: &Database,
    changes: Vec<PlacedChange>,
    policy: &SessionPolicy,
    now: Timestamp,
) -> Result<Written<Vec<AccessEvent>>, StoreError> {
    let work = Arc::new((changes, policy.clone()));
    database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (changes, policy) = (&work.0, &work.1);
                let applied = lock(transaction).await?;
                let applied = applied.map(|cursor| cursor.position).unwrap_or_default();
                let mut events = Vec::new();
                for placed in changes {
                    let position = &placed.cursor.position;
                    if position.epoch != applied.epoch {
                        return Err(StoreError::Conflict);
                    }
                    if position.revision > applied.revision {
                        let ended = apply_one(transaction, placed, policy, now).await?;
                        events.extend(ended.into_iter().flat_map(|ended| ended.events));
                    }
                }
                if let Some(last) = changes.last()
                    && last.cursor.position.revision > applied.revision
                {
                    store(transaction, &last.cursor).await?;
                }
                Ok(events)
            })
        })
        .await
}

/// Comes from a place to that of a snapshot or of a checkpoint: everything before it has been applied. A snapshot may lie
/// before the place, in another history of the same epoch. Nothing happens when somebody else has come further.
///
/// # Errors
///
/// [`StoreError::Conflict`] when it is not where the caller took it from any more, or those of the store.
pub async fn advance(
    database: &Database,
    from: Option<Cursor>,
    to: Cursor,
) -> Result<(), StoreError> {
    let work = Arc::new((from, to));
    database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (from, to) = (&work.0, &work.1);
                let applied = lock(transaction).await?;
                if applied == *from {
                    return store(transaction, to).await;
                }
                match applied {
                    Some(applied) if applied.position.reaches(&to.position) => Ok(()),
                    _ => Err(StoreError::Conflict),
                }
            })
        })
        .await?;
    Ok(())
}

/// The next users behind one who have a session that was not ended, in the order of their ids.
///
/// # Errors
///
/// Those of the store.
pub async fn list_users(
    connection: &impl ConnectionTrait,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<UserId>, StoreError> {
    const USERS: &str = "SELECT DISTINCT user_id FROM sessions \
        WHERE user_id > $1 AND ended_at IS NULL ORDER BY user_id LIMIT $2";
    let values = [
        after.map_or("", UserId::as_str).into(),
        i64::from(limit).into(),
    ];
    let rows = connection
        .query_all_raw(statement(connection, USERS, values))
        .await?;
    rows.iter()
        .map(|row| Ok(UserId::trusted(row.try_get::<String>("", "user_id")?)))
        .collect()
}

/// Ends and removes everything of users who are gone.
///
/// # Errors
///
/// Those of the store.
pub async fn erase(database: &Database, ending: &Ending) -> Result<Written<Ended>, StoreError> {
    let work = Arc::new(ending.clone());
    database
        .write(move |transaction| {
            let ending = Arc::clone(&work);
            Box::pin(async move {
                let ended = endings::end_all_in(transaction, &ending).await?;
                endings::erase_in(transaction, &ending).await?;
                Ok(ended)
            })
        })
        .await
}

async fn apply_one(
    transaction: &WriteTransaction,
    placed: &PlacedChange,
    policy: &SessionPolicy,
    now: Timestamp,
) -> Result<Option<Ended>, StoreError> {
    let at = &placed.cursor.position;
    let ending = |user_id: &UserId| Ending::new(user_id.clone(), now, policy);
    Ok(match &placed.change {
        UserChange::Unusable(user_id) => {
            let ending = ending(user_id);
            Some(endings::end_older_in(transaction, &ending, at, None, true).await?)
        }
        UserChange::PasswordChanged { user_id, spared } => {
            // The challenge that the new password answers is about to begin a session; what the old one is good for is
            // decided when it is answered.
            let (ending, spared) = (ending(user_id), spared.as_ref());
            Some(endings::end_older_in(transaction, &ending, at, spared, false).await?)
        }
        UserChange::Deleted(user_id) => {
            let ending = ending(user_id);
            let ended = endings::end_older_in(transaction, &ending, at, None, true).await?;
            endings::erase_in(transaction, &ending).await?;
            Some(ended)
        }
        UserChange::Nothing => None,
    })
}

/// The place, where nobody else applies anything until the transaction ends; `SQLite` writes one after the other anyway.
async fn lock(transaction: &WriteTransaction) -> Result<Option<Cursor>, StoreError> {
    const LOCKED: &str = "SELECT epoch, revision, nonce FROM user_feed WHERE id = 1 FOR UPDATE";
    if transaction.get_database_backend() == DbBackend::Postgres {
        read(transaction, LOCKED).await
    } else {
        cursor(transaction).await
    }
}

async fn read(
    connection: &impl ConnectionTrait,
    sql: &'static str,
) -> Result<Option<Cursor>, StoreError> {
    let row = connection
        .query_one_raw(statement(connection, sql, []))
        .await?
        .ok_or_else(|| StoreError::Corrupt("the place in the user feed is missing".to_owned()))?;
    let epoch: String = row.try_get("", "epoch")?;
    let revision = to_count(row.try_get("", "revision")?, "revision")?;
    let nonce = row.try_get("", "nonce")?;
    Ok((!epoch.is_empty()).then(|| Cursor {
        position: Position::new(epoch, revision),
        nonce,
    }))
}

async fn store(transaction: &WriteTransaction, cursor: &Cursor) -> Result<(), StoreError> {
    const STORE: &str = "UPDATE user_feed SET epoch = $1, revision = $2, nonce = $3 WHERE id = 1";
    let values = [
        cursor.position.epoch.as_str().into(),
        to_column(cursor.position.revision).into(),
        cursor.nonce.clone().into(),
    ];
    transaction
        .execute_raw(statement(transaction, STORE, values))
        .await?;
    Ok(())
}
