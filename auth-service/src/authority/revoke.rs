//! Ending sessions: refused here before the answer, and everywhere else through the feed.

use identity_guard::{
    engine::{AccessChange, SessionRevocation, SubjectRevocation},
    position::Position,
};
use identity_kit::database::{StoreError, Written};

use super::{AuthError, Authority};
use crate::{
    domain::{
        event::AccessEvent,
        id::{SessionId, UserId},
    },
    store::{
        endings::{self, Ended, Ending},
        sessions, user_feed,
    },
};

/// The most sessions of a user that are refused one by one when the outcome of ending them all is unknown.
const MAX_SESSIONS: u64 = 1_000;

/// What ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// How many sessions.
    pub sessions: u32,
    /// How many refresh tokens.
    pub refresh_tokens: u32,
    /// The consistency token of the write.
    pub revision: String,
}

impl Authority {
    /// Ends one session of a user; `None` when it is not live.
    ///
    /// # Errors
    ///
    /// [`AuthError::Store`]; after an unknown outcome the session is refused by this process all the same.
    pub async fn end_session(
        &self,
        user_id: &UserId,
        session_id: &SessionId,
    ) -> Result<Option<Revoked>, AuthError> {
        let ended = endings::end(&self.database, session_id, &self.ending(user_id)).await;
        if let Err(StoreError::UnknownOutcome) = ended {
            self.refuse_session(session_id);
        }
        let Written { value, position } = ended?;
        Ok(value.map(|value| self.revoked(Written { value, position })))
    }

    /// Ends all credentials of a user, or all sessions but one.
    ///
    /// # Errors
    ///
    /// [`AuthError::Store`]; after an unknown outcome the sessions are refused by this process all the same.
    pub async fn end_all_sessions(
        &self,
        user_id: &UserId,
        spared: Option<&SessionId>,
    ) -> Result<Revoked, AuthError> {
        let ending = self.ending(user_id);
        let live = self.live(&ending).await?;
        let ended = match spared {
            Some(spared) => endings::end_others(&self.database, spared, &ending).await,
            None => endings::end_all(&self.database, &ending).await,
        };
        self.concluded(ended, live.iter().filter(|id| Some(*id) != spared))
    }

    /// Ends all credentials of a user who may not use the system, where there are any: whoever tries again and again
    /// raises no generation and tells no watcher. A status that was read at a position outdates the rights that were
    /// read before.
    ///
    /// # Errors
    ///
    /// As of [`Authority::end_all_sessions`].
    pub async fn end_unusable(
        &self,
        user_id: &UserId,
        status_at: Option<&Position>,
    ) -> Result<Revoked, AuthError> {
        let ending = self.ending(user_id);
        let live = self.live(&ending).await?;
        let ended = endings::end_unusable(&self.database, status_at, &ending).await;
        self.concluded(ended, live.iter())
    }

    /// Ends and removes everything that is held about a user who is gone.
    ///
    /// # Errors
    ///
    /// As of [`Authority::end_all_sessions`].
    pub async fn erase(&self, user_id: &UserId) -> Result<(), AuthError> {
        let ending = self.ending(user_id);
        let live = self.live(&ending).await?;
        let ended = user_feed::erase(&self.database, &ending).await;
        self.concluded(ended, live.iter())?;
        Ok(())
    }

    /// Makes ended credentials refused by this process, at once.
    pub fn apply(&self, events: &[AccessEvent]) {
        for event in events {
            let change = match event {
                AccessEvent::SessionRevoked(event) => AccessChange::Session(SessionRevocation {
                    session_id: event.session_id.as_str().to_owned(),
                    retain_until: event.retain_until,
                }),
                AccessEvent::SubjectRevoked(event) => AccessChange::Subject(SubjectRevocation {
                    user_id: event.user_id.as_str().to_owned(),
                    generation: event.generation,
                    retain_until: event.retain_until,
                }),
                // Keys are loaded by whoever follows the feed.
                AccessEvent::SigningKeyChanged { .. } => continue,
            };
            self.state.apply_change(change);
        }
    }

    /// The live sessions, read before they are ended: after an unknown outcome there may be nobody to ask.
    async fn live(&self, ending: &Ending) -> Result<Vec<SessionId>, StoreError> {
        let (reader, user_id) = (self.database.reader(), &ending.user_id);
        let live = sessions::list_live(reader, user_id, None, MAX_SESSIONS, ending.now).await?;
        Ok(live.into_iter().map(|session| session.id).collect())
    }

    /// What came of ending these; after an unknown outcome they are refused by this process all the same.
    fn concluded<'a>(
        &self,
        ended: Result<Written<Ended>, StoreError>,
        doubtful: impl Iterator<Item = &'a SessionId>,
    ) -> Result<Revoked, AuthError> {
        if let Err(StoreError::UnknownOutcome) = ended {
            doubtful.for_each(|id| self.refuse_session(id));
        }
        Ok(self.revoked(ended?))
    }

    fn revoked(&self, ended: Written<Ended>) -> Revoked {
        self.apply(&ended.value.events);
        Revoked {
            sessions: ended.value.sessions,
            refresh_tokens: ended.value.refresh_tokens,
            revision: self.revision(ended.position),
        }
    }

    fn refuse_session(&self, session_id: &SessionId) {
        let longest = self.policy.access_token_life + self.policy.leeway;
        self.state
            .apply_change(AccessChange::Session(SessionRevocation {
                session_id: session_id.as_str().to_owned(),
                retain_until: self.now().plus(longest),
            }));
    }

    fn ending(&self, user_id: &UserId) -> Ending {
        Ending::new(user_id.clone(), self.now(), &self.policy)
    }
}
