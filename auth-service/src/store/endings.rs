//! The ends of sessions, each with the event that tells of it.

use std::{sync::Arc, time::Duration};

use identity_guard::clock::{self, Timestamp};
use identity_kit::database::{Database, StoreError, WriteTransaction, Written};
use sea_orm::{ConnectionTrait, DbErr};

use super::{
    challenges, events,
    subjects::raise_generation,
    values::{micros, statement},
};
use crate::domain::{
    event::{AccessEvent, SessionRevoked, SubjectRevoked},
    id::{SessionId, UserId},
};

/// The ended credentials of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What the feed tells.
    pub events: Vec<AccessEvent>,
    /// How many sessions ended.
    pub sessions: u32,
    /// How many refresh tokens ended with them: each live session has one.
    pub refresh_tokens: u32,
}

/// How to end sessions.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Whose.
    pub user_id: UserId,
    /// When.
    pub now: Timestamp,
    /// How much longer than the tokens their end is remembered.
    pub leeway: Duration,
    /// The life of an access token.
    pub access_token_life: Duration,
}

/// Ends one session of a user, with its event; nothing when nobody can do anything with it any more. A session that is
/// over can be ended for as long as its last token is accepted somewhere: clocks differ by the leeway.
///
/// # Errors
///
/// Those of the store.
pub async fn end(
    database: &Database,
    session_id: &SessionId,
    ending: &Ending,
) -> Result<Written<Option<Ended>>, StoreError> {
    const END: &str = "\
        UPDATE sessions SET ended_at = $3, sealed_successor = NULL, due_at = token_expires_at + $4 \
        WHERE id = $1 AND user_id = $2 AND ended_at IS NULL \
            AND (idle_expires_at > $3 AND expires_at > $3 OR token_expires_at + $4 > $3) \
        RETURNING token_expires_at, idle_expires_at, expires_at";
    let work = Arc::new((session_id.clone(), ending.clone()));
    database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (session_id, ending) = (&work.0, &work.1);
                let values = [
                    session_id.as_str().into(),
                    ending.user_id.as_str().into(),
                    micros(ending.now),
                    clock::micros(ending.leeway).into(),
                ];
                let row = transaction
                    .query_one_raw(statement(transaction, END, values))
                    .await?;
                let Some(row) = row else {
                    return Ok(None);
                };
                let moment =
                    |column| Ok::<_, DbErr>(Timestamp::from_micros(row.try_get("", column)?));
                let is_live = moment("idle_expires_at")?.min(moment("expires_at")?) > ending.now;
                let event = AccessEvent::SessionRevoked(SessionRevoked {
                    session_id: session_id.clone(),
                    user_id: ending.user_id.clone(),
                    retain_until: moment("token_expires_at")?.plus(ending.leeway),
                });
                events::emit(transaction, &event);
                Ok(Some(Ended {
                    events: vec![event],
                    sessions: 1,
                    refresh_tokens: u32::from(is_live),
                }))
            })
        })
        .await
}

/// Ends all credentials of a user, with the event; the generation rises.
///
/// # Errors
///
/// Those of the store.
pub async fn end_all(database: &Database, ending: &Ending) -> Result<Written<Ended>, StoreError> {
    let work = Arc::new(ending.clone());
    database
        .write(move |transaction| {
            let ending = Arc::clone(&work);
            Box::pin(async move { end_all_in(transaction, &ending).await })
        })
        .await
}

/// Ends all sessions of a user but one, with an event each; the generation stays.
///
/// # Errors
///
/// Those of the store.
pub async fn end_others(
    database: &Database,
    spared: &SessionId,
    ending: &Ending,
) -> Result<Written<Ended>, StoreError> {
    let work = Arc::new((spared.clone(), ending.clone()));
    database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (spared, ending) = (&work.0, &work.1);
                let ended = end_rows(transaction, ending, Some(spared)).await?;
                let events: Vec<_> = ended
                    .iter()
                    .map(|(session_id, token_expires_at)| {
                        AccessEvent::SessionRevoked(SessionRevoked {
                            session_id: session_id.clone(),
                            user_id: ending.user_id.clone(),
                            retain_until: token_expires_at.plus(ending.leeway),
                        })
                    })
                    .collect();
                for event in &events {
                    events::emit(transaction, event);
                }
                Ok(counted(events, ended.len()))
            })
        })
        .await
}

/// The same as [`end_all`], in a transaction that does more.
pub(super) async fn end_all_in(
    transaction: &WriteTransaction,
    ending: &Ending,
) -> Result<Ended, StoreError> {
    // A token that was minted under a longer configured life counts as well as one minted just now.
    let longest = ending.now.plus(ending.access_token_life);
    // The subject first, as every mint does: so the two never wait for each other in a circle.
    let retain_until = longest.plus(ending.leeway);
    let generation = raise_generation(transaction, &ending.user_id, retain_until).await?;
    let ended = end_rows(transaction, ending, None).await?;
    challenges::delete_of_user(transaction, &ending.user_id).await?;
    let last = ended.iter().map(|(_, end)| *end).max().unwrap_or(longest);
    let event = AccessEvent::SubjectRevoked(SubjectRevoked {
        user_id: ending.user_id.clone(),
        generation,
        retain_until: retain_until.max(last.plus(ending.leeway)),
    });
    events::emit(transaction, &event);
    Ok(counted(vec![event], ended.len()))
}

/// Marks the live sessions of a user as ended; gives each with the end of its last token.
async fn end_rows(
    connection: &impl ConnectionTrait,
    ending: &Ending,
    spared: Option<&SessionId>,
) -> Result<Vec<(SessionId, Timestamp)>, StoreError> {
    const END_ALL: &str = "\
        UPDATE sessions SET ended_at = $2, sealed_successor = NULL, due_at = token_expires_at + $3 \
        WHERE user_id = $1 AND id <> $4 AND ended_at IS NULL \
            AND idle_expires_at > $2 AND expires_at > $2 \
        RETURNING id, token_expires_at";
    let values = [
        ending.user_id.as_str().into(),
        micros(ending.now),
        clock::micros(ending.leeway).into(),
        spared.map_or("", SessionId::as_str).into(),
    ];
    let rows = connection
        .query_all_raw(statement(connection, END_ALL, values))
        .await?;
    rows.iter()
        .map(|row| {
            let id = SessionId::trusted(row.try_get::<String>("", "id")?);
            let end = Timestamp::from_micros(row.try_get("", "token_expires_at")?);
            Ok((id, end))
        })
        .collect()
}

fn counted(events: Vec<AccessEvent>, sessions: usize) -> Ended {
    let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
    Ended {
        events,
        sessions,
        refresh_tokens: sessions,
    }
}
