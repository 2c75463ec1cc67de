//! Tokens that were verified before, so that only the first call of each pays for its signature.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest;

use super::verifier::VerifiedToken;

const SHARDS: usize = 64;

/// Tokens kept at most, at about a kilobyte each.
const CAPACITY: usize = 32 * 1024;

/// The full SHA-256 of a token: nobody finds another text with the same.
pub(super) type CacheKey = [u8; 32];

/// The key of a token.
pub(super) fn key_of(token: &str) -> CacheKey {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    key
}

/// A bounded cache. What it gives back was signed rightly once, and must be checked for all that can change.
pub(super) struct TokenCache {
    shards: Vec<Mutex<Shard>>,
    shard_capacity: usize,
}

/// Two halves: when the young one is full it becomes the old one, and what nobody asked for meanwhile is dropped.
#[derive(Default)]
struct Shard {
    young: HashMap<CacheKey, Arc<VerifiedToken>>,
    old: HashMap<CacheKey, Arc<VerifiedToken>>,
}

impl TokenCache {
    pub(super) fn new() -> Self {
        Self::with_shard_capacity(CAPACITY / SHARDS)
    }

    fn with_shard_capacity(shard_capacity: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default)
                .take(SHARDS)
                .collect(),
            shard_capacity,
        }
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<VerifiedToken>> {
        let mut shard = self.shard(key);
        if let Some(token) = shard.young.get(key) {
            return Some(Arc::clone(token));
        }
        let token = shard.old.remove(key)?;
        shard.insert(*key, Arc::clone(&token), self.shard_capacity);
        Some(token)
    }

    pub(super) fn insert(&self, key: CacheKey, token: Arc<VerifiedToken>) {
        self.shard(&key).insert(key, token, self.shard_capacity);
    }

    pub(super) fn remove(&self, key: &CacheKey) {
        let mut shard = self.shard(key);
        shard.young.remove(key);
        shard.old.remove(key);
    }

    // A panic cannot leave a shard half written, so a poisoned lock is as good as any.
    fn shard(&self, key: &CacheKey) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[usize::from(key[0]) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let len = |shard: &Mutex<Shard>| {
            let shard = shard.lock().expect("is not poisoned");
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(len).sum()
    }
}

impl Shard {
    fn insert(&mut self, key: CacheKey, token: Arc<VerifiedToken>, capacity: usize) {
        if self.young.len() >= capacity.div_ceil(2) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{Issuer, claims};

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
        let issuer = Issuer::es256("k1");
        let token = Arc::new(issuer.verified(&claims()));
        let cache = TokenCache::with_shard_capacity(8);
        let favourite = key_of("favourite");
        cache.insert(favourite, Arc::clone(&token));
        for index in 0..10_000 {
            cache.insert(key_of(&index.to_string()), Arc::clone(&token));
            assert!(cache.get(&favourite).is_some());
        }
        assert!(cache.len() <= 8 * SHARDS);
        assert!(cache.get(&key_of("0")).is_none());
        cache.remove(&favourite);
        assert!(cache.get(&favourite).is_none());
    }
}
