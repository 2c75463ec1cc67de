//! What several calls share: proving an identity, minting tokens, ending sessions, and checking tokens.

mod check;
mod error;
mod keyring;
mod mint;
mod proof;
mod revoke;

use std::sync::Arc;

use identity_guard::{
    clock::{SharedClock, Timestamp},
    engine::AccessState,
    position::Position,
};
use identity_kit::{
    consistency::ConsistencyTokens, database::Database, entropy::SharedEntropy, outbox::Tail,
    page::PageTokens, password::HashPool,
};

pub use self::{
    check::FeedWait,
    error::AuthError,
    keyring::{KeyRing, KeyRingError},
    mint::{IssuedTokens, MINT_ATTEMPTS},
    proof::Proof,
    revoke::Revoked,
};
use crate::{
    client::UserDirectory,
    domain::{policy::SessionPolicy, throttle::ThrottleKeys},
};

/// Everything that answers "who are you".
pub struct Authority {
    /// The own database.
    pub database: Database,
    /// Users, their passwords and their rights.
    pub directory: Arc<dyn UserDirectory>,
    /// The threads that verify passwords.
    pub hashes: Arc<HashPool>,
    /// The signing keys.
    pub keys: Arc<KeyRing>,
    /// What decides about access tokens.
    pub state: Arc<AccessState>,
    /// The own feed, followed.
    pub tail: Arc<Tail>,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// Lives and bounds.
    pub policy: SessionPolicy,
    /// The `iss` of tokens.
    pub issuer: String,
    /// The `aud` of tokens.
    pub audience: String,
    /// `revision` and `min_revision`.
    pub consistency: ConsistencyTokens,
    /// `page_token` and `next_page_token`.
    pub pages: PageTokens,
    /// Under which attempts are counted.
    pub throttle_keys: ThrottleKeys,
}

impl Authority {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The consistency token of a write, or of what is known where the write made no event.
    #[must_use]
    pub fn revision(&self, position: Option<Position>) -> String {
        position
            .or_else(|| self.state.position())
            .map(|position| self.consistency.encode(&position))
            .unwrap_or_default()
    }
}
