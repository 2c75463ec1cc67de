//! A login's open step: who must answer what, until when, and how often it was tried.

use identity_guard::clock::Timestamp;

use super::{
    client::ClientContext,
    id::{TokenId, UserId},
    opaque_token::{OpaqueToken, SecretHash},
    policy::SessionPolicy,
};

/// What must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeKind {
    /// Choose a new password.
    PasswordChange,
}

impl ChallengeKind {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordChange => "password_change",
        }
    }

    /// Reads the name from the database.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (name == Self::PasswordChange.as_str()).then_some(Self::PasswordChange)
    }
}

/// A login's open step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The public part of its token; also the operation id of what it does elsewhere.
    pub id: TokenId,
    /// Of the secret part.
    pub secret_hash: SecretHash,
    /// What must be done.
    pub kind: ChallengeKind,
    /// Who logged in.
    pub user_id: UserId,
    /// The credential that was proven.
    pub credential_version: u64,
    /// Where and with what.
    pub client: ClientContext,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// How many answers were looked at.
    pub attempts: u32,
    /// Whether an answer was ever taken up: its operation may have happened although nobody was told.
    pub claimed: bool,
}

impl Challenge {
    /// A step that is open from now.
    #[must_use]
    pub fn open(
        token: &OpaqueToken,
        user_id: UserId,
        credential_version: u64,
        client: ClientContext,
        now: Timestamp,
        policy: &SessionPolicy,
    ) -> Self {
        Self {
            id: token.id().clone(),
            secret_hash: token.hash(),
            kind: ChallengeKind::PasswordChange,
            user_id,
            credential_version,
            client,
            expires_at: now.plus(policy.challenge_life),
            attempts: 0,
            claimed: false,
        }
    }

    /// Whether this token may answer now.
    #[must_use]
    pub fn admits(&self, token: &OpaqueToken, now: Timestamp, policy: &SessionPolicy) -> bool {
        token.matches(&self.secret_hash)
            && now < self.expires_at
            && self.attempts < policy.challenge_attempts
    }

    /// What the credential's version, read now, says of the step's operation.
    #[must_use]
    pub fn progress(&self, version: u64) -> Progress {
        match (version == self.credential_version, self.claimed) {
            (true, _) => Progress::Open,
            (false, true) => Progress::PerhapsDone,
            (false, false) => Progress::Overtaken,
        }
    }
}

/// How far the step's operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The credential is as it was proven.
    Open,
    /// It has changed after an answer was taken up: by that answer, if the password is the same.
    PerhapsDone,
    /// It has changed by another hand.
    Overtaken,
}

#[cfg(test)]
mod tests {
    use identity_guard::clock::Timestamp;
    use identity_kit::entropy::SystemEntropy;

    use super::{Challenge, Progress};
    use crate::domain::{
        client::{ClientContext, ClientId},
        id::UserId,
        opaque_token::{OpaqueToken, TokenKind},
        policy::SessionPolicy,
    };

    fn challenge(now: Timestamp, policy: &SessionPolicy) -> (OpaqueToken, Challenge) {
        let token = OpaqueToken::generate(TokenKind::Challenge, &SystemEntropy);
        let client = ClientContext::new(ClientId::trusted("web"), String::new(), "");
        let challenge = Challenge::open(&token, UserId::trusted("u"), 7, client, now, policy);
        (token, challenge)
    }

    #[test]
    fn only_its_own_token_answers_in_time_and_within_the_attempts() {
        let now = Timestamp::from_micros(0);
        let policy = SessionPolicy::default();
        let (token, mut challenge) = challenge(now, &policy);
        let stranger = OpaqueToken::generate(TokenKind::Challenge, &SystemEntropy);
        assert!(challenge.admits(&token, now, &policy));
        assert!(!challenge.admits(&stranger, now, &policy));
        assert!(!challenge.admits(&token, now.plus(policy.challenge_life), &policy));
        challenge.attempts = policy.challenge_attempts;
        assert!(!challenge.admits(&token, now, &policy));
    }

    #[test]
    fn a_changed_credential_is_ours_only_after_a_claim() {
        let policy = SessionPolicy::default();
        let (_, mut challenge) = challenge(Timestamp::from_micros(0), &policy);
        assert_eq!(challenge.progress(7), Progress::Open);
        assert_eq!(challenge.progress(8), Progress::Overtaken);
        challenge.claimed = true;
        assert_eq!(challenge.progress(8), Progress::PerhapsDone);
    }
}
