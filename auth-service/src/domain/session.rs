//! A session: where a user is logged in, from the proof to the last token's end.

use identity_guard::clock::Timestamp;

use super::{
    client::ClientContext,
    id::{SessionId, UserId},
    policy::SessionPolicy,
};

/// How the user proved the identity, of RFC 8176: by password.
pub const AMR_PASSWORD: &str = "pwd";

/// A place where a user is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// The user.
    pub user_id: UserId,
    /// Where and with what the user logged in.
    pub client: ClientContext,
    /// The subject's generation that the session was made in.
    pub generation: u64,
    /// How the user proved the identity, of RFC 8176.
    pub amr: Vec<String>,
    /// When the user did so.
    pub authenticated_at: Timestamp,
    /// When the session was made.
    pub created_at: Timestamp,
    /// When its tokens were last refreshed.
    pub refreshed_at: Timestamp,
    /// When it ends by itself, unless it is refreshed before.
    pub idle_expires_at: Timestamp,
    /// When it ends by itself in any case.
    pub expires_at: Timestamp,
    /// When the last of its access tokens ends by itself.
    pub token_expires_at: Timestamp,
    /// When it was ended; absent while it lives.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// A session that begins now with a proof by password.
    #[must_use]
    pub fn begin(
        id: SessionId,
        user_id: UserId,
        client: ClientContext,
        generation: u64,
        now: Timestamp,
        policy: &SessionPolicy,
    ) -> Self {
        let times = SessionTimes::at(now, now.plus(policy.absolute_life), policy);
        Self {
            id,
            user_id,
            client,
            generation,
            amr: vec![AMR_PASSWORD.to_owned()],
            authenticated_at: now,
            created_at: now,
            refreshed_at: now,
            idle_expires_at: times.idle_expires_at,
            expires_at: times.expires_at,
            token_expires_at: times.token_expires_at,
            ended_at: None,
        }
    }

    /// Whether it is neither ended nor over.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.idle_expires_at && now < self.expires_at
    }
}

/// The ends that a mint or a refresh gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    /// Of the access token.
    pub token_expires_at: Timestamp,
    /// Of the refresh token, and of the session without a refresh.
    pub idle_expires_at: Timestamp,
    /// Of the session.
    pub expires_at: Timestamp,
    /// When nothing of the session is needed any more.
    pub purge_at: Timestamp,
}

impl SessionTimes {
    /// The ends for tokens minted now in a session that ends at `expires_at`: no token outlives it, and the access
    /// token not even the session's idle life, or it would go on where nothing is left that a logout could end.
    #[must_use]
    pub fn at(now: Timestamp, expires_at: Timestamp, policy: &SessionPolicy) -> Self {
        let idle_expires_at = now.plus(policy.idle_life).min(expires_at);
        Self::within(now, idle_expires_at, expires_at, policy)
    }

    /// The ends when the last refresh of a session is answered once more: the session lives no longer for it, and the
    /// new access token no longer than the session.
    #[must_use]
    pub fn again(now: Timestamp, session: &Session, policy: &SessionPolicy) -> Self {
        Self::within(now, session.idle_expires_at, session.expires_at, policy)
    }

    fn within(
        now: Timestamp,
        idle_expires_at: Timestamp,
        expires_at: Timestamp,
        policy: &SessionPolicy,
    ) -> Self {
        let idle_expires_at = idle_expires_at.min(expires_at);
        Self {
            token_expires_at: now.plus(policy.access_token_life).min(idle_expires_at),
            idle_expires_at,
            expires_at,
            purge_at: idle_expires_at.plus(policy.leeway),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use identity_guard::clock::Timestamp;

    use super::{Session, SessionTimes};
    use crate::domain::{
        client::{ClientContext, ClientId},
        id::{SessionId, UserId},
        policy::SessionPolicy,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn session(now: Timestamp) -> Session {
        let client = ClientContext::new(ClientId::trusted("web"), String::new(), "");
        Session::begin(
            SessionId::trusted("s"),
            UserId::trusted("u"),
            client,
            1,
            now,
            &SessionPolicy::default(),
        )
    }

    #[test]
    fn a_session_ends_by_idleness_by_age_and_by_force() {
        let now = Timestamp::from_micros(1_000_000);
        let policy = SessionPolicy::default();
        let mut session = session(now);
        assert!(session.is_live(now));
        assert!(!session.is_live(now.plus(policy.idle_life)));
        session.idle_expires_at = now.plus(policy.absolute_life * 2);
        assert!(!session.is_live(now.plus(policy.absolute_life)));
        session.ended_at = Some(now);
        assert!(!session.is_live(now));
    }

    #[test]
    fn no_token_outlives_its_session() {
        let policy = SessionPolicy::default();
        let now = Timestamp::from_micros(0);
        let end = now.plus(SECOND);
        let times = SessionTimes::at(now, end, &policy);
        assert_eq!(times.token_expires_at, end);
        assert_eq!(times.idle_expires_at, end);
        assert_eq!(times.purge_at, end.plus(policy.leeway));
    }

    #[test]
    fn no_access_token_outlives_the_idle_life_of_its_session() {
        let policy = SessionPolicy {
            idle_life: SECOND * 60,
            ..SessionPolicy::default()
        };
        let now = Timestamp::from_micros(0);
        let idle_end = now.plus(policy.idle_life);
        let times = SessionTimes::at(now, now.plus(policy.absolute_life), &policy);
        assert_eq!(times.token_expires_at, idle_end);
        assert_eq!(times.purge_at, idle_end.plus(policy.leeway));

        // A refresh that is answered again later moves the session's end no further.
        let mut session = session(now);
        session.idle_expires_at = idle_end;
        let again = SessionTimes::again(now.plus(SECOND * 9), &session, &policy);
        assert_eq!(again.token_expires_at, idle_end);
        assert_eq!(again.idle_expires_at, idle_end);
        let policy = SessionPolicy::default();
        let again = SessionTimes::again(now, &session, &policy);
        assert_eq!(again.token_expires_at, idle_end);
    }
}
