//! The ends of sessions, each with the event that tells of it.

use std::{sync::Arc, time::Duration};

use identity_guard::{
    clock::{self, Timestamp},
    position::Position,
};
use identity_kit::database::{Database, StoreError, WriteTransaction, Written};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::{
    challenges, events, subjects,
    values::{micros, statement, to_column},
};
use crate::domain::{
    event::{AccessEvent, SessionRevoked},
    id::{SessionId, UserId},
    policy::SessionPolicy,
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
    /// How long the subject's row stays without a session.
    pub subject_rest: Duration,
}

impl Ending {
    /// How to end a user's sessions now.
    #[must_use]
    pub fn new(user_id: UserId, now: Timestamp, policy: &SessionPolicy) -> Self {
        Self {
            user_id,
            now,
            leeway: policy.leeway,
            access_token_life: policy.access_token_life,
            subject_rest: policy.subject_rest(),
        }
    }
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
        RETURNING id, token_expires_at, idle_expires_at, expires_at";
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
                let row = EndedRow::read(&row, ending.now)?;
                let event = row.event(ending);
                events::emit(transaction, &event);
                Ok(Some(Ended {
                    events: vec![event],
                    sessions: 1,
                    refresh_tokens: u32::from(row.was_live),
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

/// The same for a user who may not use the system, as far as there is anything to end: a live session, an open challenge,
/// or a token that is accepted somewhere. Otherwise the generation stays and nobody is told, however often it is asked.
///
/// The subject comes to the position that the user's status was read at, where there is one: a mint whose rights are
/// older begins no session after this.
///
/// # Errors
///
/// Those of the store.
pub async fn end_unusable(
    database: &Database,
    status_at: Option<&Position>,
    ending: &Ending,
) -> Result<Written<Ended>, StoreError> {
    let work = Arc::new((status_at.cloned(), ending.clone()));
    database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (status_at, ending) = (&work.0, &work.1);
                subjects::lock(transaction, ending, status_at.as_ref()).await?;
                let ended = end_rows(transaction, ending, None).await?;
                let challenges =
                    challenges::delete_open(transaction, &ending.user_id, ending.now).await?;
                if challenges == 0 && !ended.iter().any(|row| row.may_be_used(ending)) {
                    return Ok(counted(Vec::new(), &ended));
                }
                revoke(transaction, ending, &ended).await
            })
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
                    .filter(|row| row.may_be_used(ending))
                    .map(|row| row.event(ending))
                    .collect();
                for event in &events {
                    events::emit(transaction, event);
                }
                Ok(counted(events, &ended))
            })
        })
        .await
}

/// The same as [`end_all`], in a transaction that does more.
pub(super) async fn end_all_in(
    transaction: &WriteTransaction,
    ending: &Ending,
) -> Result<Ended, StoreError> {
    // The subject first, as every mint does: so the two never wait for each other in a circle.
    subjects::lock(transaction, ending, None).await?;
    let ended = end_rows(transaction, ending, None).await?;
    challenges::delete_open(transaction, &ending.user_id, ending.now).await?;
    revoke(transaction, ending, &ended).await
}

/// Ends what a user had begun before a change of theirs, in a transaction that does more: sessions with rights from
/// before it, but for a spared one, and with `challenges` the open ones. A session that began after it stays, as when
/// the change is heard of late. The subject comes to the change, which outdates the rights that were read before.
pub(super) async fn end_older_in(
    transaction: &WriteTransaction,
    ending: &Ending,
    changed_at: &Position,
    spared: Option<&SessionId>,
    challenges: bool,
) -> Result<Ended, StoreError> {
    subjects::lock(transaction, ending, Some(changed_at)).await?;
    let ended = end_older_rows(transaction, ending, changed_at, spared).await?;
    let answered = if challenges {
        challenges::delete_open(transaction, &ending.user_id, ending.now).await?
    } else {
        0
    };
    let usable: Vec<_> = ended.iter().filter(|row| row.may_be_used(ending)).collect();
    if usable.is_empty() && answered == 0 {
        return Ok(counted(Vec::new(), &ended));
    }
    if !has_sessions(transaction, &ending.user_id).await? {
        return revoke(transaction, ending, &ended).await;
    }
    // The generation is also that of those who stay, so the others end one by one.
    let events: Vec<_> = usable.into_iter().map(|row| row.event(ending)).collect();
    for event in &events {
        events::emit(transaction, event);
    }
    Ok(counted(events, &ended))
}

/// Removes everything that is held about a user who is gone, once all credentials have ended. The subject's row, which
/// tells of the person nothing but the id, goes when housekeeping finds that no token is left.
pub(super) async fn erase_in(
    transaction: &WriteTransaction,
    ending: &Ending,
) -> Result<(), StoreError> {
    const DUE: &str = "UPDATE subjects SET due_at = $2 \
        WHERE user_id = $1 AND due_at IS NULL AND retain_until IS NULL";
    const TOKENS: &str = "DELETE FROM refresh_tokens WHERE session_id IN \
        (SELECT id FROM sessions WHERE user_id = $1)";
    for sql in [
        TOKENS,
        "DELETE FROM sessions WHERE user_id = $1",
        "DELETE FROM challenges WHERE user_id = $1",
    ] {
        let values = [ending.user_id.as_str().into()];
        transaction
            .execute_raw(statement(transaction, sql, values))
            .await?;
    }
    let rest = ending.access_token_life + ending.leeway;
    let values = [
        ending.user_id.as_str().into(),
        micros(ending.now.plus(rest)),
    ];
    transaction
        .execute_raw(statement(transaction, DUE, values))
        .await?;
    Ok(())
}

/// Raises the generation of a locked subject whose rows have ended, with the event.
async fn revoke(
    transaction: &WriteTransaction,
    ending: &Ending,
    ended: &[EndedRow],
) -> Result<Ended, StoreError> {
    // As if a token were minted just now; one of a longer life that was configured before counts as well.
    let newest = ending.now.plus(ending.access_token_life);
    let ends = ended.iter().map(|row| row.token_expires_at);
    let retain_until = ends.fold(newest, Timestamp::max).plus(ending.leeway);
    let event = AccessEvent::SubjectRevoked(
        subjects::raise_generation(transaction, &ending.user_id, retain_until).await?,
    );
    events::emit(transaction, &event);
    Ok(counted(vec![event], ended))
}

/// A session that was just marked as ended.
struct EndedRow {
    id: SessionId,
    token_expires_at: Timestamp,
    was_live: bool,
}

impl EndedRow {
    fn read(row: &QueryResult, now: Timestamp) -> Result<Self, StoreError> {
        let moment = |column| Ok::<_, DbErr>(Timestamp::from_micros(row.try_get("", column)?));
        Ok(Self {
            id: SessionId::trusted(row.try_get::<String>("", "id")?),
            token_expires_at: moment("token_expires_at")?,
            was_live: moment("idle_expires_at")?.min(moment("expires_at")?) > now,
        })
    }

    /// Whether somebody could still have used it, if only its last token on a clock that is behind.
    fn may_be_used(&self, ending: &Ending) -> bool {
        self.was_live || self.token_expires_at.plus(ending.leeway) > ending.now
    }

    fn event(&self, ending: &Ending) -> AccessEvent {
        AccessEvent::SessionRevoked(SessionRevoked {
            session_id: self.id.clone(),
            user_id: ending.user_id.clone(),
            retain_until: self.token_expires_at.plus(ending.leeway),
        })
    }
}

/// Marks the sessions of a user as ended. Those that are over by themselves as well: a refresh under way, on a clock that
/// is behind, may be about to prolong one, and is waited for.
async fn end_rows(
    connection: &impl ConnectionTrait,
    ending: &Ending,
    spared: Option<&SessionId>,
) -> Result<Vec<EndedRow>, StoreError> {
    const END_ALL: &str = "\
        UPDATE sessions SET ended_at = $2, sealed_successor = NULL, due_at = token_expires_at + $3 \
        WHERE user_id = $1 AND id <> $4 AND ended_at IS NULL \
        RETURNING id, token_expires_at, idle_expires_at, expires_at";
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
        .map(|row| EndedRow::read(row, ending.now))
        .collect()
}

/// The same of the sessions whose rights are from before a change.
async fn end_older_rows(
    connection: &impl ConnectionTrait,
    ending: &Ending,
    changed_at: &Position,
    spared: Option<&SessionId>,
) -> Result<Vec<EndedRow>, StoreError> {
    const END_OLDER: &str = "\
        UPDATE sessions SET ended_at = $2, sealed_successor = NULL, due_at = token_expires_at + $3 \
        WHERE user_id = $1 AND id <> $4 AND ended_at IS NULL \
            AND NOT (user_epoch = $5 AND user_revision >= $6) \
        RETURNING id, token_expires_at, idle_expires_at, expires_at";
    let values = [
        ending.user_id.as_str().into(),
        micros(ending.now),
        clock::micros(ending.leeway).into(),
        spared.map_or("", SessionId::as_str).into(),
        changed_at.epoch.as_str().into(),
        to_column(changed_at.revision).into(),
    ];
    let rows = connection
        .query_all_raw(statement(connection, END_OLDER, values))
        .await?;
    rows.iter()
        .map(|row| EndedRow::read(row, ending.now))
        .collect()
}

/// Whether a user has a session that was not ended.
async fn has_sessions(
    connection: &impl ConnectionTrait,
    user_id: &UserId,
) -> Result<bool, StoreError> {
    const LIVE: &str = "SELECT 1 FROM sessions WHERE user_id = $1 AND ended_at IS NULL LIMIT 1";
    let values = [user_id.as_str().into()];
    let row = connection
        .query_one_raw(statement(connection, LIVE, values))
        .await?;
    Ok(row.is_some())
}

fn counted(events: Vec<AccessEvent>, ended: &[EndedRow]) -> Ended {
    let live = ended.iter().filter(|row| row.was_live).count();
    let sessions = u32::try_from(live).unwrap_or(u32::MAX);
    Ended {
        events,
        sessions,
        refresh_tokens: sessions,
    }
}
