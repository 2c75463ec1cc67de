//! The one transaction behind every new session.

use std::sync::Arc;

use identity_guard::{clock::Timestamp, position::Position};
use identity_kit::database::{Database, StoreError, Written};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};

use super::{
    challenges,
    endings::{self, Ending},
    subjects,
    throttles::{self, settle},
    values::{micros, statement, to_column, to_count},
};
use crate::domain::{
    client::ClientContext,
    event::AccessEvent,
    id::{SessionId, TokenId, UserId},
    opaque_token::SecretHash,
    policy::SessionPolicy,
    session::{AMR_PASSWORD, Session, SessionTimes},
    throttle::LoginKeys,
};

/// A session that is about to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Where and with what.
    pub client: ClientContext,
    /// Where the rights for the access token were read.
    pub rights_at: Position,
    /// Its first refresh token.
    pub token_id: TokenId,
    /// Of that token's secret part.
    pub token_hash: SecretHash,
    /// When.
    pub now: Timestamp,
    /// The attempt that it is the success of, if one is still counted.
    pub attempt: Option<LoginKeys>,
}

/// Why no session began; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// A mint before used newer rights: read them again.
    #[error("the rights are outdated")]
    RightsOutdated,
    /// Another answer to the challenge has come first.
    #[error("the challenge is used")]
    ChallengeUsed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins a session; its attempt is settled with it.
///
/// # Errors
///
/// [`MintError::RightsOutdated`], or those of the store.
pub async fn begin(
    database: &Database,
    new: &NewSession,
    policy: &SessionPolicy,
) -> Result<Session, MintError> {
    if database.backend() == DbBackend::Postgres {
        // One statement is a transaction of its own.
        return begin_in(database.reader(), new, policy).await;
    }
    let work = Arc::new((new.clone(), policy.clone()));
    let written = database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move { begin_in(transaction, &work.0, &work.1).await })
        })
        .await?;
    Ok(written.value)
}

/// Uses up a challenge, ends all that the old password had let in, and begins a session.
///
/// # Errors
///
/// [`MintError::RightsOutdated`], [`MintError::ChallengeUsed`], or those of the store.
pub async fn begin_after_password_change(
    database: &Database,
    challenge_id: &TokenId,
    new: &NewSession,
    policy: &SessionPolicy,
) -> Result<Written<(Session, Vec<AccessEvent>)>, MintError> {
    let work = Arc::new((challenge_id.clone(), new.clone(), policy.clone()));
    database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (challenge_id, new, policy) = (&work.0, &work.1, &work.2);
                // The subject first, as whoever ends everything does.
                let ending = Ending::new(new.user_id.clone(), new.now, policy);
                subjects::lock(transaction, &ending, None).await?;
                if !challenges::consume(transaction, challenge_id).await? {
                    return Err(MintError::ChallengeUsed);
                }
                let ended = endings::end_all_in(transaction, &ending).await?;
                let session = begin_in(transaction, new, policy).await?;
                Ok((session, ended.events))
            })
        })
        .await
}

/// Moves the subject to the position that the rights were read at, which locks it, and begins the session unless a
/// mint before used newer rights. All in one statement, or in one string of them: each is a trip of its own otherwise.
async fn begin_in(
    connection: &impl ConnectionTrait,
    new: &NewSession,
    policy: &SessionPolicy,
) -> Result<Session, MintError> {
    let sql = match connection.get_database_backend() {
        DbBackend::Postgres => AT_ONCE,
        _ => IN_TURN,
    };
    let rows = connection
        .query_all_raw(statement(connection, sql, values(new, policy)))
        .await
        .map_err(StoreError::from)?;
    let generation = generation(&rows, &new.rights_at)?.ok_or(MintError::RightsOutdated)?;
    Ok(Session::begin(
        new.id.clone(),
        new.user_id.clone(),
        new.client.clone(),
        generation,
        new.now,
        policy,
    ))
}

/// Makes the subject or moves it on. What gets a session is not housekeeping's any more.
macro_rules! subject {
    () => {
        "INSERT INTO subjects (user_id, generation, user_epoch, user_revision) \
        VALUES ($6, (SELECT generation FROM subject_floor), $7, $8) \
        ON CONFLICT (user_id) DO UPDATE SET \
            due_at = CASE \
                WHEN subjects.user_epoch = excluded.user_epoch \
                    AND subjects.user_revision > excluded.user_revision \
                THEN subjects.due_at END, \
            user_revision = CASE \
                WHEN subjects.user_epoch = excluded.user_epoch \
                    AND subjects.user_revision > excluded.user_revision \
                THEN subjects.user_revision ELSE excluded.user_revision END, \
            user_epoch = excluded.user_epoch \
        RETURNING user_id, generation, user_revision"
    };
}

/// The session of the row of `$subjects`, unless its rights are newer.
macro_rules! session {
    ($subjects:literal) => {
        concat!(
            "INSERT INTO sessions (id, user_id, client_id, ip_address, user_agent, generation, amr, \
                authenticated_at, created_at, refreshed_at, idle_expires_at, expires_at, \
                token_expires_at, current_token_id, rotation_retries, due_at, user_epoch, user_revision) \
            SELECT $9, user_id, $10, $11, $12, generation, $13, $1, $1, $1, $14, $15, $16, $17, 0, $18, $7, $8 \
            FROM ",
            $subjects,
            " WHERE user_id = $6 AND user_revision <= $8"
        )
    };
}

/// The refresh token of the row of `$sessions`.
macro_rules! token {
    ($sessions:literal) => {
        concat!(
            "INSERT INTO refresh_tokens (id, session_id, secret_hash, expires_at) \
            SELECT $17, id, $19, $14 FROM ",
            $sessions,
            " WHERE id = $9"
        )
    };
}

/// PostgreSQL: one statement, whose parts see what the others return.
const AT_ONCE: &str = concat!(
    "WITH subject AS (",
    subject!(),
    "), session AS (",
    session!("subject"),
    " RETURNING id), token AS (",
    token!("session"),
    "), settled AS (",
    settle!(" AND EXISTS (SELECT 1 FROM session) ORDER BY id FOR UPDATE"),
    ") SELECT generation, user_revision FROM subject",
);

/// SQLite: statements that share their values and run in one go. Only the first gives a row.
const IN_TURN: &str = concat!(
    subject!(),
    "; ",
    session!("subjects"),
    "; ",
    token!("sessions"),
    "; ",
    settle!(""),
);

fn values(new: &NewSession, policy: &SessionPolicy) -> impl Iterator<Item = Value> {
    let times = SessionTimes::at(new.now, new.now.plus(policy.absolute_life), policy);
    let session = [
        new.user_id.as_str().into(),
        new.rights_at.epoch.as_str().into(),
        to_column(new.rights_at.revision).into(),
        new.id.as_str().into(),
        new.client.client_id.as_str().into(),
        new.client.ip_address.as_str().into(),
        new.client.user_agent.as_str().into(),
        AMR_PASSWORD.into(),
        micros(times.idle_expires_at),
        micros(times.expires_at),
        micros(times.token_expires_at),
        new.token_id.as_str().into(),
        micros(times.purge_at),
        new.token_hash.as_bytes().to_vec().into(),
    ];
    throttles::success(new.attempt.as_ref(), &policy.throttle, new.now)
        .into_iter()
        .chain(session)
}

/// The generation for the session, unless its rights are outdated.
fn generation(rows: &[QueryResult], rights_at: &Position) -> Result<Option<u64>, StoreError> {
    let [row] = rows else {
        return Err(StoreError::Corrupt("an upsert gave no row".to_owned()));
    };
    if row.try_get::<i64>("", "user_revision")? > to_column(rights_at.revision) {
        return Ok(None);
    }
    to_count(row.try_get("", "generation")?, "generation").map(Some)
}
