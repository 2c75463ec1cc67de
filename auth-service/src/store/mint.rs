//! The one transaction behind every new session.

use std::sync::Arc;

use identity_guard::{clock::Timestamp, position::Position};
use identity_kit::database::{Database, StoreError, WriteTransaction, Written};

use super::{
    challenges, refresh,
    sessions::{self, Ending},
    subjects::{self, Standing},
};
use crate::domain::{
    client::ClientContext,
    event::AccessEvent,
    id::{SessionId, TokenId, UserId},
    opaque_token::SecretHash,
    policy::SessionPolicy,
    session::{Session, SessionTimes},
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

/// Begins a session.
///
/// # Errors
///
/// [`MintError::RightsOutdated`], or those of the store.
pub async fn begin(
    database: &Database,
    new: &NewSession,
    policy: &SessionPolicy,
) -> Result<Session, MintError> {
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
                if !challenges::consume(transaction, challenge_id).await? {
                    return Err(MintError::ChallengeUsed);
                }
                let ending = Ending {
                    user_id: new.user_id.clone(),
                    now: new.now,
                    leeway: policy.leeway,
                    access_token_life: policy.access_token_life,
                };
                let ended = sessions::end_all_in(transaction, &ending).await?;
                let session = begin_in(transaction, new, policy).await?;
                Ok((session, ended.events))
            })
        })
        .await
}

async fn begin_in(
    transaction: &WriteTransaction,
    new: &NewSession,
    policy: &SessionPolicy,
) -> Result<Session, MintError> {
    let standing = subjects::lock(transaction, &new.user_id, &new.rights_at).await?;
    let Standing::Current { generation } = standing else {
        return Err(MintError::RightsOutdated);
    };
    let session = Session::begin(
        new.id.clone(),
        new.user_id.clone(),
        new.client.clone(),
        generation,
        new.now,
        policy,
    );
    let times = SessionTimes::at(new.now, session.expires_at, policy);
    sessions::insert(transaction, &session, &new.token_id, &times).await?;
    refresh::insert(
        transaction,
        &new.token_id,
        &session.id,
        &new.token_hash,
        times.idle_expires_at,
    )
    .await?;
    Ok(session)
}
