//! The keys that may have signed a token, and those that may not any more.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{change::KeyChange, key::VerifyingKey};

/// A key set. It is immutable once shared: a change makes a new one.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    valid: HashMap<String, Arc<VerifyingKey>>,
    // Never forgotten, so that no stale key set brings a key back: a withdrawal is rare, and a kid is short.
    withdrawn: HashSet<String>,
}

/// What a key set knows of a `kid`.
#[derive(Debug)]
pub enum KeyLookup<'a> {
    /// It verifies.
    Valid(&'a VerifyingKey),
    /// It did once: what it signed is refused.
    Withdrawn,
    /// Nothing.
    Unknown,
}

impl KeySet {
    /// A set of valid keys.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.apply(&KeyChange::Valid(Arc::new(key)));
        }
        set
    }

    /// Looks a `kid` up.
    #[must_use]
    pub fn find(&self, kid: &str) -> KeyLookup<'_> {
        if let Some(key) = self.valid.get(kid) {
            KeyLookup::Valid(key)
        } else if self.withdrawn.contains(kid) {
            KeyLookup::Withdrawn
        } else {
            KeyLookup::Unknown
        }
    }

    /// Applies a change. A withdrawn key stays withdrawn.
    pub(super) fn apply(&mut self, change: &KeyChange) {
        match change {
            KeyChange::Valid(key) => {
                if !self.withdrawn.contains(key.kid()) {
                    self.valid.insert(key.kid().to_owned(), Arc::clone(key));
                }
            }
            KeyChange::Withdrawn { kid } => {
                self.valid.remove(kid);
                self.withdrawn.insert(kid.clone());
            }
        }
    }

    /// The set that replaces this one: the given keys, and every withdrawal of both.
    pub(super) fn replaced_by(&self, keys: &[KeyChange]) -> Self {
        let mut set = Self {
            valid: HashMap::new(),
            withdrawn: self.withdrawn.clone(),
        };
        for change in keys {
            set.apply(change);
        }
        set
    }
}
