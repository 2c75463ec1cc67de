//! The engine's memory: what is known of keys and revocations, how old that is, and the decision that follows.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::{
    cache::{self, TokenCache},
    change::{AccessChange, KeyChange, Snapshot},
    freshness::{Freshness, Source, SourceState},
    keyset::KeySet,
    revocations::Revocations,
    verifier::{MAX_TOKEN_BYTES, TokenError, VerifiedToken, Verifier, VerifierConfig},
};
use crate::{
    clock::{SharedClock, micros},
    position::Position,
};

/// Why a caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no token.
    #[error("the call needs an access token")]
    Missing,
    /// It is none of ours, or not for us.
    #[error("the access token is not valid here")]
    Invalid,
    /// It has ended by itself.
    #[error("the access token has expired")]
    Expired,
    /// It has been ended.
    #[error("the access token was revoked")]
    Revoked,
    /// What is known is too old to say yes.
    #[error("the access token cannot be checked now")]
    Stale,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::Expired,
            TokenError::Revoked => Self::Revoked,
            TokenError::TooLarge
            | TokenError::Malformed
            | TokenError::UnsupportedHeader(_)
            | TokenError::UnknownKey
            | TokenError::Signature
            | TokenError::Claims(_)
            | TokenError::NotYetValid => Self::Invalid,
        }
    }
}

/// What is known of tokens, and the decision about each.
///
/// A check that begins after a change was applied sees it. Checks of all cores run side by side; a change waits for
/// none of them for longer than a look-up.
pub struct AccessState {
    verifier: Verifier,
    clock: SharedClock,
    keys: ArcSwap<KeySet>,
    revocations: Revocations,
    freshness: Freshness,
    cache: TokenCache,
}

impl AccessState {
    /// A state that knows nothing and is stale. What it knows counts for at most `max_staleness`, whoever keeps it.
    #[must_use]
    pub fn new(config: VerifierConfig, clock: SharedClock, max_staleness: Duration) -> Self {
        let verifier = Verifier::new(config);
        Self {
            revocations: Revocations::new(verifier.leeway()),
            verifier,
            clock,
            keys: ArcSwap::default(),
            freshness: Freshness::new(max_staleness),
            cache: TokenCache::new(),
        }
    }

    /// How old what is known may be.
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        self.freshness.max_staleness()
    }

    /// Decides about a token.
    ///
    /// # Errors
    ///
    /// [`Refusal::Stale`] when nothing speaks against it and what is known is too old; then ask a server.
    pub fn check(&self, token: &str) -> Result<Arc<VerifiedToken>, Refusal> {
        // Before everything else: if fresh here, then what is read below is at least as new as that proof. Asked
        // last, it could be proven by revocations that arrived after this check had passed their place.
        let fresh = self.is_fresh();
        let token = self.verify(token, fresh)?;
        let claims = token.claims();
        if self
            .revocations
            .cover(&claims.sid, &claims.sub, claims.generation)
        {
            return Err(Refusal::Revoked);
        }
        // After the look-up: what is gone from there was forgotten before, and the token with it.
        if self.revocations.forgot(token.expires_at()) {
            return Err(Refusal::Expired);
        }
        if !fresh {
            return Err(Refusal::Stale);
        }
        Ok(token)
    }

    /// Verifies a token without asking whether it was ended since: for whoever asks a server about that.
    ///
    /// # Errors
    ///
    /// [`Refusal::Stale`] when its key is unknown and may be new.
    pub fn verify_signature_only(&self, token: &str) -> Result<Arc<VerifiedToken>, Refusal> {
        self.verify(token, self.is_fresh())
    }

    /// Replaces the key set and adds the revocations.
    ///
    /// No revocation is dropped and no generation falls, and a withdrawn key stays withdrawn: a snapshot can come from
    /// a database that lags. It does not make the state fresh; an observation of its source does.
    pub fn apply_snapshot(&self, snapshot: Snapshot) {
        let now = self.clock.now();
        // Revocations first: between the two steps the state knows too much and not too little.
        for session in snapshot.sessions {
            self.revocations.add_session(session, now);
        }
        for subject in snapshot.subjects {
            self.revocations.add_subject(subject, now);
        }
        self.keys.rcu(|keys| keys.replaced_by(&snapshot.keys));
        self.advance_to(snapshot.position);
    }

    /// Applies a change, at once and as often as it comes. The position stays: see [`AccessState::advance_to`].
    pub fn apply_change(&self, change: AccessChange) {
        match change {
            AccessChange::Session(session) => {
                self.revocations.add_session(session, self.clock.now());
            }
            AccessChange::Subject(subject) => {
                self.revocations.add_subject(subject, self.clock.now());
            }
            AccessChange::Key(change) => self.apply_key(&change),
        }
    }

    fn apply_key(&self, change: &KeyChange) {
        self.keys.rcu(|keys| {
            let mut keys = KeySet::clone(keys);
            keys.apply(change);
            keys
        });
    }

    /// Says that every change of the access feed up to a position has been applied.
    pub fn advance_to(&self, position: Position) {
        self.freshness.advance(Source::Auth, position);
    }

    /// Says that everything of a source up to a position has been applied, and how long ago that was all there was.
    pub fn observe_source(&self, source: Source, position: Position, age: Duration) {
        let at = self.elapsed().saturating_sub(micros(age));
        self.freshness.observe(source, position, at);
    }

    /// The same, with the moment on the steady clock ([`Clock::elapsed`](crate::clock::Clock::elapsed)) at which the
    /// source was read.
    pub fn observe_source_at(&self, source: Source, position: Position, at: Duration) {
        // Nothing can have been read in the future.
        let at = micros(at).min(self.elapsed());
        self.freshness.observe(source, position, at);
    }

    /// Makes the state stale until its sources are observed again. What is known stays known.
    pub fn mark_stale(&self) {
        self.freshness.reset();
    }

    /// Whether every source that a decision needs was observed within the bound.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.freshness.is_fresh(self.elapsed())
    }

    /// How far the access feed has been applied; `None` before the first snapshot.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.freshness.position(Source::Auth)
    }

    /// How new the knowledge of a source is; `None` before it was observed.
    #[must_use]
    pub fn source(&self, source: Source) -> Option<SourceState> {
        self.freshness.state(source, self.elapsed())
    }

    /// Signature, claims, times and key; from the cache where the token is known.
    fn verify(&self, token: &str, fresh: bool) -> Result<Arc<VerifiedToken>, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge.into());
        }
        let key = cache::key_of(token);
        let keys = self.keys.load();
        let outcome = match self.cache.get(&key) {
            Some(known) => self
                .verifier
                .recheck(&known, &keys, self.clock.now())
                .map(|()| known)
                .inspect_err(|_| self.cache.remove(&key)),
            None => self
                .verifier
                .verify(token, &keys, self.clock.now())
                .map(Arc::new)
                .inspect(|token| self.cache.insert(key, Arc::clone(token))),
        };
        outcome.map_err(|error| match error {
            TokenError::UnknownKey if !fresh => Refusal::Stale,
            error => error.into(),
        })
    }

    /// The steady clock in microseconds.
    fn elapsed(&self) -> i64 {
        micros(self.clock.elapsed())
    }
}

#[cfg(test)]
mod tests;
