//! What a presented refresh token means: the first use, the retry of a lost answer, a reuse, or nothing.

use identity_guard::clock::Timestamp;

use super::{
    client::{ClientId, RequestId},
    id::TokenId,
    opaque_token::{OpaqueToken, SecretHash},
    policy::SessionPolicy,
    session::Session,
};

/// The last rotation of a session: the one that made its current token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRotation {
    /// The token that was traded.
    pub token_id: TokenId,
    /// When.
    pub rotated_at: Timestamp,
    /// The request id of that call.
    pub request_id: Option<RequestId>,
    /// How often the answer was fetched again.
    pub retries: u32,
    /// Whether the sealed successor is still kept.
    pub sealed: bool,
}

/// A refresh token's row with its session's.
///
/// A session has one current token. All others were used: that is what makes two live successors impossible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRefreshToken {
    /// Of the secret part.
    pub secret_hash: SecretHash,
    /// The session that it belongs to.
    pub session: Session,
    /// The one token of the session that is not used.
    pub current_token_id: TokenId,
    /// The session's last rotation.
    pub last_rotation: Option<LastRotation>,
}

/// What the caller presents.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The token.
    pub token: OpaqueToken,
    /// The program that presents it.
    pub client_id: ClientId,
    /// The id of the call.
    pub request_id: Option<RequestId>,
}

/// What a presented token means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first use: rotate.
    Rotate,
    /// The answer was lost: give the same successor again.
    Retry,
    /// Used before by somebody: end the session.
    Reused,
    /// As good as unknown: refuse, and end nothing.
    Refused,
}

/// Judges a presented token by its row.
///
/// The verdict is about one moment; the write that follows it repeats its conditions and is the arbiter.
#[must_use]
pub fn judge(
    stored: &StoredRefreshToken,
    presented: &Presented,
    now: Timestamp,
    policy: &SessionPolicy,
) -> Verdict {
    // Without the secret nobody ends a session by its token's public part.
    if !presented.token.matches(&stored.secret_hash) || !stored.session.is_live(now) {
        return Verdict::Refused;
    }
    let same_client = presented.client_id == stored.session.client.client_id;
    if *presented.token.id() == stored.current_token_id {
        return if same_client {
            Verdict::Rotate
        } else {
            Verdict::Refused
        };
    }
    let retry = stored.last_rotation.as_ref().is_some_and(|last| {
        last.token_id == *presented.token.id()
            && last.sealed
            && same_client
            && now < last.rotated_at.plus(policy.retry_window)
            && last.retries < policy.retry_limit
            && last
                .request_id
                .as_ref()
                .is_none_or(|first| presented.request_id.as_ref() == Some(first))
    });
    if retry {
        Verdict::Retry
    } else {
        Verdict::Reused
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use identity_guard::clock::Timestamp;
    use identity_kit::entropy::SystemEntropy;

    use super::{LastRotation, Presented, StoredRefreshToken, Verdict, judge};
    use crate::domain::{
        client::{ClientContext, ClientId, RequestId},
        id::{SessionId, TokenId, UserId},
        opaque_token::{OpaqueToken, TokenKind},
        policy::SessionPolicy,
        session::Session,
    };

    struct Case {
        stored: StoredRefreshToken,
        presented: Presented,
        now: Timestamp,
        policy: SessionPolicy,
    }

    impl Case {
        fn unused() -> Self {
            let now = Timestamp::from_micros(1_000_000);
            let policy = SessionPolicy::default();
            let token = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
            let client_id = ClientId::trusted("web");
            let session = Session::begin(
                SessionId::trusted("s"),
                UserId::trusted("u"),
                ClientContext::new(client_id.clone(), String::new(), ""),
                1,
                now,
                &policy,
            );
            let stored = StoredRefreshToken {
                secret_hash: token.hash(),
                current_token_id: token.id().clone(),
                session,
                last_rotation: None,
            };
            let presented = Presented {
                token,
                client_id,
                request_id: None,
            };
            Self {
                stored,
                presented,
                now,
                policy,
            }
        }

        fn used() -> Self {
            let mut case = Self::unused();
            case.stored.current_token_id = TokenId::trusted("successor");
            case.stored.last_rotation = Some(LastRotation {
                token_id: case.presented.token.id().clone(),
                rotated_at: case.now,
                request_id: None,
                retries: 0,
                sealed: true,
            });
            case
        }

        fn last(&mut self) -> &mut LastRotation {
            self.stored.last_rotation.as_mut().unwrap()
        }

        fn verdict(&self) -> Verdict {
            judge(&self.stored, &self.presented, self.now, &self.policy)
        }
    }

    #[test]
    fn an_unused_token_rotates_and_a_used_one_is_retried_within_its_window() {
        assert_eq!(Case::unused().verdict(), Verdict::Rotate);
        assert_eq!(Case::used().verdict(), Verdict::Retry);
    }

    #[test]
    fn a_wrong_secret_an_ended_session_and_another_client_are_unknown() {
        let mut wrong = Case::used();
        wrong.presented.token = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
        assert_eq!(wrong.verdict(), Verdict::Refused);

        let mut ended = Case::used();
        ended.stored.session.ended_at = Some(ended.now);
        assert_eq!(ended.verdict(), Verdict::Refused);

        let mut other = Case::unused();
        other.presented.client_id = ClientId::trusted("cli");
        assert_eq!(other.verdict(), Verdict::Refused);
    }

    #[test]
    fn every_other_second_use_is_a_reuse() {
        let mut late = Case::used();
        late.now = late.now.plus(Duration::from_secs(10));
        assert_eq!(late.verdict(), Verdict::Reused);

        let mut often = Case::used();
        often.last().retries = 3;
        assert_eq!(often.verdict(), Verdict::Reused);

        let mut successor_used = Case::used();
        successor_used.last().token_id = TokenId::trusted("other");
        assert_eq!(successor_used.verdict(), Verdict::Reused);

        let mut cleared = Case::used();
        cleared.last().sealed = false;
        assert_eq!(cleared.verdict(), Verdict::Reused);

        let mut other_client = Case::used();
        other_client.presented.client_id = ClientId::trusted("cli");
        assert_eq!(other_client.verdict(), Verdict::Reused);
    }

    #[test]
    fn a_retry_needs_the_request_id_of_the_first_call() {
        let mut case = Case::used();
        case.last().request_id = Some(RequestId::trusted("r1"));
        assert_eq!(case.verdict(), Verdict::Reused);
        case.presented.request_id = Some(RequestId::trusted("r2"));
        assert_eq!(case.verdict(), Verdict::Reused);
        case.presented.request_id = Some(RequestId::trusted("r1"));
        assert_eq!(case.verdict(), Verdict::Retry);
    }
}
