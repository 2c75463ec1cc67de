//! Open steps of logins: made, tried, claimed by one answer at a time, used up.

use std::sync::Arc;

use identity_guard::{clock::Timestamp, position::Position};
use identity_kit::database::{Database, StoreError};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait as _, QueryFilter as _};

use super::{
    endings::Ending,
    entity::challenge,
    subjects, throttles,
    values::{micros, statement, to_column, to_count, to_small_column, to_small_count},
};
use crate::domain::{
    challenge::{Challenge, ChallengeKind},
    client::{ClientContext, ClientId},
    id::{TokenId, UserId},
    opaque_token::SecretHash,
    policy::SessionPolicy,
    throttle::LoginKeys,
};

/// Keeps a new challenge, and settles the attempt that it is the success of; `false` when the user has changed since
/// the credential was read. So a login that is under way leaves nothing of somebody who is erased meanwhile.
///
/// # Errors
///
/// Those of the store.
pub async fn insert(
    database: &Database,
    new: &Challenge,
    read_at: &Position,
    attempt: &LoginKeys,
    policy: &SessionPolicy,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let ending = Ending::new(new.user_id.clone(), now, policy);
    let work = Arc::new((new.clone(), read_at.clone(), attempt.clone(), ending));
    let limits = policy.throttle;
    let written = database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (new, read_at, attempt, ending) = (&work.0, &work.1, &work.2, &work.3);
                // The subject first, as whoever ends everything does.
                subjects::lock(transaction, ending, Some(read_at)).await?;
                if subjects::is_beyond(transaction, &new.user_id, read_at).await? {
                    return Ok(false);
                }
                challenge::Entity::insert(to_row(new))
                    .exec_without_returning(transaction)
                    .await?;
                throttles::succeed_in(transaction, attempt, &limits, now).await?;
                Ok::<_, StoreError>(true)
            })
        })
        .await?;
    Ok(written.value)
}

/// The challenge of a token's public part.
///
/// # Errors
///
/// Those of the store.
pub async fn find(
    connection: &impl ConnectionTrait,
    id: &TokenId,
) -> Result<Option<Challenge>, StoreError> {
    challenge::Entity::find_by_id(id.as_str())
        .one(connection)
        .await?
        .map(to_challenge)
        .transpose()
}

/// Counts an answer that is about to be looked at; `false` when there were too many.
///
/// # Errors
///
/// Those of the store.
pub async fn count_attempt(
    database: &Database,
    id: &TokenId,
    policy: &SessionPolicy,
) -> Result<bool, StoreError> {
    const COUNT: &str = "\
        UPDATE challenges SET attempts = attempts + 1 WHERE id = $1 AND attempts < $2";
    let values = [
        id.as_str().into(),
        to_small_column(policy.challenge_attempts).into(),
    ];
    change_one(database, COUNT, values).await
}

/// Takes the challenge for one answer; `false` while another answer has it.
///
/// # Errors
///
/// Those of the store.
pub async fn claim(
    database: &Database,
    id: &TokenId,
    now: Timestamp,
    policy: &SessionPolicy,
) -> Result<bool, StoreError> {
    const CLAIM: &str = "\
        UPDATE challenges SET claimed_until = $2 \
        WHERE id = $1 AND (claimed_until IS NULL OR claimed_until <= $3)";
    let until = now.plus(policy.challenge_claim);
    let values = [id.as_str().into(), micros(until), micros(now)];
    change_one(database, CLAIM, values).await
}

/// Lets the next answer have the challenge; what the last one began stays known.
///
/// # Errors
///
/// Those of the store.
pub async fn release(database: &Database, id: &TokenId, now: Timestamp) -> Result<(), StoreError> {
    const RELEASE: &str = "UPDATE challenges SET claimed_until = $2 WHERE id = $1";
    let values = [id.as_str().into(), micros(now)];
    change_one(database, RELEASE, values).await?;
    Ok(())
}

/// Uses the challenge up; `false` when it is used already.
pub(super) async fn consume(
    connection: &impl ConnectionTrait,
    id: &TokenId,
) -> Result<bool, StoreError> {
    let done = challenge::Entity::delete_by_id(id.as_str())
        .exec(connection)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Ends all open steps of a user; gives how many. Those that are over wait for housekeeping.
pub(super) async fn delete_open(
    connection: &impl ConnectionTrait,
    user_id: &UserId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let done = challenge::Entity::delete_many()
        .filter(challenge::COLUMN.user_id.eq(user_id.as_str()))
        .filter(challenge::COLUMN.expires_at.gt(now.as_micros()))
        .exec(connection)
        .await?;
    Ok(done.rows_affected)
}

async fn change_one<const N: usize>(
    database: &Database,
    sql: &'static str,
    values: [sea_orm::Value; N],
) -> Result<bool, StoreError> {
    let written = database
        .write(move |transaction| {
            let values = values.clone();
            Box::pin(async move {
                let done = transaction
                    .execute_raw(statement(transaction, sql, values))
                    .await?;
                Ok::<_, StoreError>(done.rows_affected() == 1)
            })
        })
        .await?;
    Ok(written.value)
}

fn to_row(new: &Challenge) -> challenge::ActiveModel {
    challenge::ActiveModel {
        id: Set(new.id.as_str().to_owned()),
        secret_hash: Set(new.secret_hash.as_bytes().to_vec()),
        kind: Set(new.kind.as_str().to_owned()),
        user_id: Set(new.user_id.as_str().to_owned()),
        credential_version: Set(to_column(new.credential_version)),
        client_id: Set(new.client.client_id.as_str().to_owned()),
        ip_address: Set(new.client.ip_address.clone()),
        user_agent: Set(new.client.user_agent.clone()),
        expires_at: Set(new.expires_at.as_micros()),
        attempts: Set(to_small_column(new.attempts)),
        claimed_until: Set(None),
    }
}

fn to_challenge(row: challenge::Model) -> Result<Challenge, StoreError> {
    Ok(Challenge {
        id: TokenId::trusted(row.id),
        secret_hash: SecretHash::trusted(row.secret_hash),
        kind: ChallengeKind::parse(&row.kind)
            .ok_or_else(|| StoreError::Corrupt(format!("unknown challenge kind {}", row.kind)))?,
        user_id: UserId::trusted(row.user_id),
        credential_version: to_count(row.credential_version, "credential_version")?,
        client: ClientContext {
            client_id: ClientId::trusted(row.client_id),
            ip_address: row.ip_address,
            user_agent: row.user_agent,
        },
        expires_at: Timestamp::from_micros(row.expires_at),
        attempts: to_small_count(row.attempts, "attempts")?,
        claimed: row.claimed_until.is_some(),
    })
}
