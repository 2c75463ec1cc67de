//! Refresh tokens: looked up, rotated in one statement, and given again when an answer was lost.
//!
//! The session's row is the one arbiter: a rotation happens only while the presented token is the session's
//! current one, and whatever ends a session writes the same row. Rows of refresh tokens are only ever added,
//! so that a used one is known again; they go when they expire.

use identity_guard::{
    clock::{self, Timestamp},
    position::Position,
};
use identity_kit::database::{Database, StoreError};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult as _, Statement, Value};

use super::{
    entity::session,
    sessions::to_stored,
    values::{micros, statement, to_column, to_small_column},
};
use crate::domain::{
    client::RequestId,
    id::{SessionId, TokenId},
    opaque_token::SecretHash,
    policy::SessionPolicy,
    refresh::StoredRefreshToken,
    session::SessionTimes,
};

/// A rotation that is about to happen.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The session.
    pub session_id: SessionId,
    /// The presented token.
    pub token_id: TokenId,
    /// The id of the call.
    pub request_id: Option<RequestId>,
    /// The token that takes its place.
    pub successor_id: TokenId,
    /// Of its secret part.
    pub successor_hash: SecretHash,
    /// The same token under a key from the presented one.
    pub sealed_successor: Vec<u8>,
    /// Where the rights for the access token were read.
    pub rights_at: Position,
    /// When.
    pub now: Timestamp,
    /// The ends that it gives.
    pub times: SessionTimes,
}

/// What is given again.
#[derive(Debug, Clone)]
pub struct Regained {
    /// The successor, under a key from the presented token.
    pub sealed_successor: Vec<u8>,
    /// When the successor ends by itself.
    pub idle_expires_at: Timestamp,
}

/// The row of a refresh token with its session's, by the token's public part.
///
/// # Errors
///
/// Those of the store.
pub async fn find(
    connection: &impl ConnectionTrait,
    token_id: &TokenId,
) -> Result<Option<StoredRefreshToken>, StoreError> {
    const FIND: &str = "\
        SELECT sessions.*, refresh_tokens.secret_hash FROM refresh_tokens \
        JOIN sessions ON sessions.id = refresh_tokens.session_id WHERE refresh_tokens.id = $1";
    let row = connection
        .query_one_raw(statement(connection, FIND, [token_id.as_str().into()]))
        .await?;
    row.map(|row| {
        let secret_hash = row.try_get("", "secret_hash")?;
        to_stored(session::Model::from_query_result(&row, "")?, secret_hash)
    })
    .transpose()
}

// Three conditions beside the arbiter: the session lives, its generation is the subject's, and no mint has used
// newer rights. The subject is not locked: whatever raises its generation also writes the session's row.
macro_rules! rotate {
    () => {
        "UPDATE sessions SET current_token_id = $3, rotated_token_id = $2, rotated_at = $4, \
            rotation_request_id = $5, rotation_retries = 0, sealed_successor = $6, due_at = $7, \
            refreshed_at = $4, idle_expires_at = $8, \
            token_expires_at = CASE WHEN token_expires_at > $9 THEN token_expires_at ELSE $9 END \
        FROM subjects \
        WHERE sessions.id = $1 AND sessions.current_token_id = $2 AND sessions.ended_at IS NULL \
            AND sessions.idle_expires_at > $4 AND sessions.expires_at > $4 \
            AND subjects.user_id = sessions.user_id AND subjects.generation = sessions.generation \
            AND (subjects.user_epoch <> $10 OR subjects.user_revision <= $11)"
    };
}

/// Trades the presented token for its successor. `false` means that something was in the way and nothing was
/// written: the token is not the current one any more, the session has ended, or the rights are outdated.
///
/// # Errors
///
/// Those of the store.
pub async fn rotate(
    database: &Database,
    rotation: &Rotation,
    policy: &SessionPolicy,
) -> Result<bool, StoreError> {
    let statement = statement_of(rotation, database.backend(), policy);
    if database.backend() == DbBackend::Postgres {
        let done = database.reader().execute_raw(statement).await?;
        return Ok(done.rows_affected() > 0);
    }
    let written = database
        .write(move |transaction| {
            let statement = statement.clone();
            Box::pin(async move {
                let done = transaction.execute_raw(statement).await?;
                Ok::<_, StoreError>(done.rows_affected() > 0)
            })
        })
        .await?;
    Ok(written.value)
}

/// The successor in the session of the row of `$sessions`.
macro_rules! successor {
    ($sessions:literal) => {
        concat!(
            "INSERT INTO refresh_tokens (id, session_id, secret_hash, expires_at) \
            SELECT $3, id, $12, $8 FROM ",
            $sessions
        )
    };
}

/// PostgreSQL: one statement, one round trip, its own transaction.
const AT_ONCE: &str = concat!(
    "WITH live AS (",
    rotate!(),
    " RETURNING sessions.id) ",
    successor!("live")
);

/// SQLite: two statements in one go, in a transaction that is shared with other callers' writes.
const IN_TURN: &str = concat!(
    rotate!(),
    "; ",
    successor!("sessions WHERE id = $1 AND current_token_id = $3")
);

/// What [`rotate`] runs on an engine. It touches a row when the rotation has happened, and none otherwise.
#[must_use]
pub fn statement_of(rotation: &Rotation, backend: DbBackend, policy: &SessionPolicy) -> Statement {
    let sql = match backend {
        DbBackend::Postgres => AT_ONCE,
        _ => IN_TURN,
    };
    Statement::from_sql_and_values(backend, sql, values(rotation, policy))
}

fn values(rotation: &Rotation, policy: &SessionPolicy) -> [Value; 12] {
    // Housekeeping looks next when the sealed successor has to go.
    let due_at = rotation.now.plus(policy.retry_window);
    [
        rotation.session_id.as_str().into(),
        rotation.token_id.as_str().into(),
        rotation.successor_id.as_str().into(),
        micros(rotation.now),
        rotation.request_id.as_ref().map(RequestId::as_str).into(),
        rotation.sealed_successor.clone().into(),
        micros(due_at),
        micros(rotation.times.idle_expires_at),
        micros(rotation.times.token_expires_at),
        rotation.rights_at.epoch.as_str().into(),
        to_column(rotation.rights_at.revision).into(),
        rotation.successor_hash.as_bytes().to_vec().into(),
    ]
}

/// Counts a retry and gives the sealed successor; nothing when the retry is not, or no more, allowed.
///
/// # Errors
///
/// Those of the store.
pub async fn regain(
    database: &Database,
    rotation: &Rotation,
    policy: &SessionPolicy,
) -> Result<Option<Regained>, StoreError> {
    const REGAIN: &str = "\
        UPDATE sessions SET rotation_retries = rotation_retries + 1, \
            token_expires_at = CASE WHEN token_expires_at > $3 THEN token_expires_at ELSE $3 END \
        FROM subjects \
        WHERE sessions.id = $1 AND sessions.rotated_token_id = $2 AND sessions.ended_at IS NULL \
            AND sessions.idle_expires_at > $4 AND sessions.expires_at > $4 \
            AND sessions.rotated_at > $5 AND sessions.rotation_retries < $6 \
            AND sessions.sealed_successor IS NOT NULL \
            AND (sessions.rotation_request_id IS NULL OR sessions.rotation_request_id = $7) \
            AND subjects.user_id = sessions.user_id AND subjects.generation = sessions.generation \
            AND (subjects.user_epoch <> $8 OR subjects.user_revision <= $9) \
        RETURNING sealed_successor, idle_expires_at";
    let window_start = rotation.now.as_micros() - clock::micros(policy.retry_window);
    let values = [
        rotation.session_id.as_str().into(),
        rotation.token_id.as_str().into(),
        micros(rotation.times.token_expires_at),
        micros(rotation.now),
        window_start.into(),
        to_small_column(policy.retry_limit).into(),
        rotation.request_id.as_ref().map(RequestId::as_str).into(),
        rotation.rights_at.epoch.as_str().into(),
        to_column(rotation.rights_at.revision).into(),
    ];
    let written = database
        .write(move |transaction| {
            let values = values.clone();
            Box::pin(async move {
                let row = transaction
                    .query_one_raw(statement(transaction, REGAIN, values))
                    .await?;
                row.map(|row| {
                    Ok::<_, StoreError>(Regained {
                        sealed_successor: row.try_get("", "sealed_successor")?,
                        idle_expires_at: Timestamp::from_micros(
                            row.try_get("", "idle_expires_at")?,
                        ),
                    })
                })
                .transpose()
            })
        })
        .await?;
    Ok(written.value)
}
