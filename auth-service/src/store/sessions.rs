//! Sessions: listed, and read from their rows.

use std::time::Duration;

use identity_guard::clock::Timestamp;
use identity_kit::database::StoreError;
use sea_orm::{
    Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::{
    entity::session,
    values::{to_count, to_small_count},
};
use crate::domain::{
    client::{ClientContext, ClientId, RequestId},
    event::SessionRevoked,
    id::{SessionId, TokenId, UserId},
    opaque_token::SecretHash,
    refresh::{LastRotation, StoredRefreshToken},
    session::Session,
};

/// The place of a session in its user's list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCursor {
    /// When it was made.
    pub created_at: Timestamp,
    /// Which it is.
    pub id: SessionId,
}

/// The live sessions of a user, newest first.
///
/// # Errors
///
/// Those of the store.
pub async fn list_live(
    connection: &impl ConnectionTrait,
    user_id: &UserId,
    after: Option<&SessionCursor>,
    limit: u64,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let mut query = session::Entity::find()
        .filter(session::COLUMN.user_id.eq(user_id.as_str()))
        .filter(session::COLUMN.ended_at.is_null())
        .filter(session::COLUMN.idle_expires_at.gt(now.as_micros()))
        .filter(session::COLUMN.expires_at.gt(now.as_micros()));
    if let Some(cursor) = after {
        let created_at = cursor.created_at.as_micros();
        query = query.filter(
            Condition::any()
                .add(session::COLUMN.created_at.lt(created_at))
                .add(
                    Condition::all()
                        .add(session::COLUMN.created_at.eq(created_at))
                        .add(session::COLUMN.id.lt(cursor.id.as_str())),
                ),
        );
    }
    query
        .order_by_desc(session::Column::CreatedAt)
        .order_by_desc(session::Column::Id)
        .limit(limit)
        .all(connection)
        .await?
        .into_iter()
        .map(to_session)
        .collect()
}

/// The sessions that ended before their tokens did.
///
/// # Errors
///
/// Those of the store.
pub async fn list_revoked(
    connection: &impl ConnectionTrait,
    leeway: Duration,
    now: Timestamp,
) -> Result<Vec<SessionRevoked>, StoreError> {
    let sessions = session::Entity::find()
        .filter(session::COLUMN.ended_at.is_not_null())
        .filter(
            session::COLUMN
                .token_expires_at
                .gt(now.minus(leeway).as_micros()),
        )
        .all(connection)
        .await?;
    Ok(sessions
        .into_iter()
        .map(|row| SessionRevoked {
            session_id: SessionId::trusted(row.id),
            user_id: UserId::trusted(row.user_id),
            retain_until: Timestamp::from_micros(row.token_expires_at).plus(leeway),
        })
        .collect())
}

/// A session's row with the hash of one of its refresh tokens, as what a presented token is judged by.
pub(super) fn to_stored(
    row: session::Model,
    secret_hash: Vec<u8>,
) -> Result<StoredRefreshToken, StoreError> {
    let last_rotation = match (&row.rotated_token_id, row.rotated_at) {
        (Some(token_id), Some(rotated_at)) => Some(LastRotation {
            token_id: TokenId::trusted(token_id.as_str()),
            rotated_at: Timestamp::from_micros(rotated_at),
            request_id: row.rotation_request_id.as_deref().map(RequestId::trusted),
            retries: to_small_count(row.rotation_retries, "rotation_retries")?,
            sealed: row.sealed_successor.is_some(),
        }),
        _ => None,
    };
    Ok(StoredRefreshToken {
        secret_hash: SecretHash::trusted(secret_hash),
        current_token_id: TokenId::trusted(row.current_token_id.as_str()),
        last_rotation,
        session: to_session(row)?,
    })
}

/// A session's row.
pub(super) fn to_session(row: session::Model) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId::trusted(row.id),
        user_id: UserId::trusted(row.user_id),
        client: ClientContext {
            client_id: ClientId::trusted(row.client_id),
            ip_address: row.ip_address,
            user_agent: row.user_agent,
        },
        generation: to_count(row.generation, "generation")?,
        amr: row.amr.split_whitespace().map(str::to_owned).collect(),
        authenticated_at: Timestamp::from_micros(row.authenticated_at),
        created_at: Timestamp::from_micros(row.created_at),
        refreshed_at: Timestamp::from_micros(row.refreshed_at),
        idle_expires_at: Timestamp::from_micros(row.idle_expires_at),
        expires_at: Timestamp::from_micros(row.expires_at),
        token_expires_at: Timestamp::from_micros(row.token_expires_at),
        ended_at: row.ended_at.map(Timestamp::from_micros),
    })
}
