//! What holds for all credentials of a user: the generation, and how new the rights of the last mint were.
//!
//! A row that no session and no end needs goes after a while, and its generation never falls for it. The one row of
//! `subject_floor` holds the generation that a subject without a row begins with. Whoever sets `due_at`, which lets a
//! row go, raises the floor to the row's generation in the same transaction; the row goes so much later that nobody
//! begins with an older floor any more.

use identity_guard::{clock::Timestamp, position::Position};
use identity_kit::database::StoreError;
use sea_orm::{ConnectionTrait, QueryResult};

use super::{
    endings::Ending,
    values::{micros, statement, to_column, to_count},
};
use crate::domain::{
    event::SubjectRevoked,
    id::{SessionId, UserId},
};

/// Locks the subject, which is made where it is absent: no mint comes in between any more, nor is one unseen. Given a
/// position, a mint whose rights are older finds them outdated from now on.
pub(super) async fn lock(
    connection: &impl ConnectionTrait,
    ending: &Ending,
    moved_to: Option<&Position>,
) -> Result<(), StoreError> {
    // A row that is made here is at the floor, and can go. One that was about to go stays for as long as a new one.
    const LOCK: &str = "\
        INSERT INTO subjects (user_id, generation, user_epoch, user_revision, due_at) \
        VALUES ($1, (SELECT generation FROM subject_floor), $2, $3, $4) \
        ON CONFLICT (user_id) DO UPDATE SET \
            due_at = CASE WHEN subjects.due_at IS NOT NULL THEN excluded.due_at END, \
            user_revision = CASE \
                WHEN excluded.user_epoch = '' OR subjects.user_epoch = excluded.user_epoch \
                    AND subjects.user_revision > excluded.user_revision \
                THEN subjects.user_revision ELSE excluded.user_revision END, \
            user_epoch = CASE WHEN excluded.user_epoch = '' \
                THEN subjects.user_epoch ELSE excluded.user_epoch END";
    let (epoch, revision) = moved_to.map_or(("", 0), |to| (to.epoch.as_str(), to.revision));
    let values = [
        ending.user_id.as_str().into(),
        epoch.into(),
        to_column(revision).into(),
        micros(ending.now.plus(ending.subject_rest)),
    ];
    connection
        .execute_raw(statement(connection, LOCK, values))
        .await?;
    Ok(())
}

/// Whether a locked subject has come further than a position that it was moved to.
pub(super) async fn is_beyond(
    connection: &impl ConnectionTrait,
    user_id: &UserId,
    position: &Position,
) -> Result<bool, StoreError> {
    const AT: &str = "SELECT user_revision FROM subjects WHERE user_id = $1 AND user_epoch = $2";
    let values = [user_id.as_str().into(), position.epoch.as_str().into()];
    let row = connection
        .query_one_raw(statement(connection, AT, values))
        .await?
        .ok_or_else(|| StoreError::Corrupt("a locked subject is gone".to_owned()))?;
    Ok(row.try_get::<i64>("", "user_revision")? > to_column(position.revision))
}

/// Ends all tokens of the generations so far of a locked subject; they are remembered for as long as any of them.
pub(super) async fn raise_generation(
    connection: &impl ConnectionTrait,
    user_id: &UserId,
    retain_until: Timestamp,
) -> Result<SubjectRevoked, StoreError> {
    const RAISE: &str = "\
        UPDATE subjects SET generation = generation + 1, due_at = NULL, \
            retain_until = CASE WHEN retain_until > $2 THEN retain_until ELSE $2 END \
        WHERE user_id = $1 RETURNING user_id, generation, retain_until";
    let values = [user_id.as_str().into(), micros(retain_until)];
    let row = connection
        .query_one_raw(statement(connection, RAISE, values))
        .await?
        .ok_or_else(|| StoreError::Corrupt("a locked subject is gone".to_owned()))?;
    to_revoked(&row)
}

/// Whether a session lives and its subject is still of the token's generation.
///
/// # Errors
///
/// Those of the store.
pub async fn honours(
    connection: &impl ConnectionTrait,
    session_id: &SessionId,
    generation: u64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const HONOURS: &str = "\
        SELECT 1 AS live FROM sessions JOIN subjects ON subjects.user_id = sessions.user_id \
        WHERE sessions.id = $1 AND sessions.ended_at IS NULL AND sessions.expires_at > $3 \
            AND subjects.generation = $2";
    let values = [
        session_id.as_str().into(),
        to_column(generation).into(),
        micros(now),
    ];
    let row = connection
        .query_one_raw(statement(connection, HONOURS, values))
        .await?;
    Ok(row.is_some())
}

/// The subjects whose ended tokens may not have ended by themselves yet.
///
/// # Errors
///
/// Those of the store.
pub async fn list_revoked(
    connection: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<Vec<SubjectRevoked>, StoreError> {
    const REVOKED: &str = "\
        SELECT user_id, generation, retain_until FROM subjects \
        WHERE retain_until IS NOT NULL AND retain_until > $1";
    let rows = connection
        .query_all_raw(statement(connection, REVOKED, [micros(now)]))
        .await?;
    rows.iter().map(to_revoked).collect()
}

fn to_revoked(row: &QueryResult) -> Result<SubjectRevoked, StoreError> {
    Ok(SubjectRevoked {
        user_id: UserId::trusted(row.try_get::<String>("", "user_id")?),
        generation: to_count(row.try_get("", "generation")?, "generation")?,
        retain_until: Timestamp::from_micros(row.try_get("", "retain_until")?),
    })
}
