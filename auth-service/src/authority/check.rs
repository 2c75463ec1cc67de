//! Checking access tokens, and the rights of their users.

use std::{collections::HashSet, sync::Arc, time::Duration};

use identity_guard::{
    deadline,
    engine::{Refusal, VerifiedToken},
    layer::TokenFallback,
    position::Position,
    rights::{Rights, RightsSource},
    status::Failure,
};
use identity_kit::outbox::{self, NotReached, Past};
use tokio::time::Instant;

use super::{AuthError, Authority};
use crate::{
    domain::{
        account::AccessSnapshot,
        id::{SessionId, UserId},
    },
    store::subjects,
};

/// The longest wait for a position of the own feed.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A position that must be reached before the answer; none means that any state will do.
pub type FeedWait = Option<Position>;

impl Authority {
    /// Says whether an access token is good: from memory, or from the database while memory may be outdated.
    ///
    /// # Errors
    ///
    /// [`AuthError::Token`] with the cause, or [`AuthError::Store`].
    pub async fn check_token(&self, token: &str) -> Result<Arc<VerifiedToken>, AuthError> {
        match self.state.check(token) {
            Err(Refusal::Stale) => self.check_in_database(token).await,
            checked => Ok(checked?),
        }
    }

    async fn check_in_database(&self, token: &str) -> Result<Arc<VerifiedToken>, AuthError> {
        let token = self.state.verify_signature_only(token)?;
        let claims = token.claims();
        let session_id = SessionId::trusted(claims.sid.as_str());
        let reader = self.database.reader();
        if subjects::honours(reader, &session_id, claims.generation, self.now()).await? {
            Ok(token)
        } else {
            Err(Refusal::Revoked.into())
        }
    }

    /// Status and rights as they are now; `None` when the user is gone. Whoever asks for a user that may not use the
    /// system, or is gone, ends every session of that user, and what was ended stays so when the account comes back.
    /// Nothing is ended while nobody asks, be it by a login, a refresh, a validation or a call that needs a permission:
    /// a session that outlasts a suspension unasked goes on.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unusable`], or no answer of user-service or the database.
    pub async fn usable_access(
        &self,
        user_id: &UserId,
    ) -> Result<Option<AccessSnapshot>, AuthError> {
        let access = self.directory.find_access(user_id).await?;
        match &access {
            Some(access) => self.require_usable(access).await?,
            None => drop(self.end_unusable(user_id, None).await?),
        }
        Ok(access)
    }

    /// Refuses a user that may not use the system, and ends every session that the user still has.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unusable`], or those of the database.
    pub async fn require_usable(&self, access: &AccessSnapshot) -> Result<(), AuthError> {
        let usable = access.require_usable();
        if usable.is_err() {
            self.end_unusable(&access.user_id, Some(&access.position))
                .await?;
        }
        Ok(usable?)
    }

    /// Waits until the own feed has come to a position.
    ///
    /// # Errors
    ///
    /// [`AuthError::RevisionNotReached`] when it has not within a second or the call's deadline,
    /// [`AuthError::RevisionLost`] when it never will.
    pub async fn wait_for(&self, wait: &FeedWait) -> Result<(), AuthError> {
        let Some(position) = wait else {
            return Ok(());
        };
        let longest = Instant::now() + LONGEST_WAIT;
        let until = deadline::current().map_or(longest, |deadline| deadline.min(longest));
        match self.tail.wait_for(position, until).await {
            Ok(()) => Ok(()),
            Err(NotReached::OtherEpoch) => {
                match outbox::past(self.database.reader(), position).await? {
                    Past::Held => Ok(()),
                    Past::Lost => Err(AuthError::RevisionLost),
                    Past::Unknown => Err(AuthError::RevisionNotReached),
                }
            }
            Err(NotReached::Late | NotReached::Ended) => Err(AuthError::RevisionNotReached),
        }
    }
}

#[tonic::async_trait]
impl TokenFallback for Authority {
    async fn validate(&self, token: &str) -> Result<Arc<VerifiedToken>, Failure> {
        Ok(self.check_in_database(token).await?)
    }
}

#[tonic::async_trait]
impl RightsSource for Authority {
    async fn rights(&self, token: &VerifiedToken, _text: &str) -> Result<Arc<Rights>, Failure> {
        let user_id = UserId::trusted(token.claims().sub.as_str());
        let access = match self.usable_access(&user_id).await {
            Err(AuthError::Unusable(_)) | Ok(None) => return Ok(Arc::default()),
            Ok(Some(access)) => access,
            Err(error) => return Err(error.into()),
        };
        Ok(Arc::new(Rights {
            active: true,
            permissions: HashSet::from_iter(access.effective_permissions),
        }))
    }
}
