//! The signing keys in memory: the one that signs, parsed once, and the public halves of all.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use identity_guard::{
    clock::{SharedClock, Timestamp},
    engine::{AccessClaims, SignatureAlgorithm},
};
use identity_kit::{
    database::{Database, StoreError},
    entropy::SharedEntropy,
    secret::{RootSecret, Sealer},
};
use serde_json::{Value, json};

use crate::{
    domain::signing_key::{KeyState, SigningKey},
    signer::{KeyError, NewKey, Signer},
    store::keys::{self, SealedKey},
};

/// What the private halves are sealed for; another use of the root secret has another key.
const SEAL_LABEL: &str = "signing-key";

/// The keys cannot be loaded or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key is broken.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The private half was sealed under another root secret.
    #[error("the signing key {0} was sealed under another root secret")]
    OtherRootSecret(String),
}

/// The signing keys.
pub struct KeyRing {
    database: Database,
    sealer: Sealer,
    clock: SharedClock,
    entropy: SharedEntropy,
    active: ArcSwapOption<(String, Signer)>,
    public: ArcSwap<Vec<SigningKey>>,
}

impl KeyRing {
    /// No keys yet: see [`KeyRing::load_or_create`].
    #[must_use]
    pub fn new(
        database: Database,
        root: &RootSecret,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Self {
        Self {
            database,
            sealer: Sealer::new(root.derive(SEAL_LABEL)),
            clock,
            entropy,
            active: ArcSwapOption::empty(),
            public: ArcSwap::default(),
        }
    }

    /// Loads the keys; where none signs yet, makes one. Replicas that start at once agree on one.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`].
    pub async fn load_or_create(&self, algorithm: SignatureAlgorithm) -> Result<(), KeyRingError> {
        self.reload().await?;
        if self.active.load().is_none() {
            let new = NewKey::generate(algorithm)?;
            let sealed = self.seal(&new, algorithm);
            if keys::insert_active(&self.database, &sealed).await? {
                tracing::info!(
                    key_id = new.id,
                    algorithm = algorithm.as_str(),
                    "made a signing key"
                );
            }
            self.reload().await?;
        }
        Ok(())
    }

    /// Makes a key that is to sign in place of the one that does, of the same algorithm; of the given one where there is
    /// none. It is kept nowhere yet.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`].
    pub async fn make_next(
        &self,
        algorithm: SignatureAlgorithm,
    ) -> Result<SealedKey, KeyRingError> {
        let active = keys::find_active(self.database.aside()).await?;
        let algorithm = active.map_or(algorithm, |active| active.key.algorithm);
        Ok(self.seal(&NewKey::generate(algorithm)?, algorithm))
    }

    /// Loads the keys anew.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`]; the keys in memory stay.
    pub async fn reload(&self) -> Result<(), KeyRingError> {
        let public = keys::list(self.database.aside()).await?;
        match keys::find_active(self.database.aside()).await? {
            Some(sealed) => {
                let known = self.active.load();
                if known.as_ref().is_none_or(|known| known.0 != sealed.key.id) {
                    let signer = self.unseal(&sealed)?;
                    self.active.store(Some(Arc::new((sealed.key.id, signer))));
                }
            }
            // A key that is not active any more signs nothing more.
            None => self.active.store(None),
        }
        self.public.store(Arc::new(public));
        Ok(())
    }

    /// Whether tokens can be signed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.active.load().is_some()
    }

    /// An access token: secret.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when there is no key, or it fails, or the token would be too long for every verifier.
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, KeyError> {
        match &*self.active.load() {
            Some(active) => active.1.sign(claims),
            None => Err(KeyError::absent()),
        }
    }

    /// All keys, newest first.
    #[must_use]
    pub fn list(&self) -> Arc<Vec<SigningKey>> {
        self.public.load_full()
    }

    /// The key set of RFC 7517 for verifiers: what may verify now.
    #[must_use]
    pub fn key_set(&self, now: Timestamp) -> Value {
        let keys: Vec<Value> = self
            .public
            .load()
            .iter()
            .filter(|key| key.is_in_key_set(now))
            .filter_map(|key| serde_json::from_str(&key.public_jwk).ok())
            .collect();
        json!({ "keys": keys })
    }

    fn seal(&self, new: &NewKey, algorithm: SignatureAlgorithm) -> SealedKey {
        let now = self.clock.now();
        SealedKey {
            // The id is bound into the seal: a row's private half cannot be put under another key's name.
            private_sealed: self
                .sealer
                .seal(new.id.as_bytes(), &new.private, &*self.entropy),
            key: SigningKey {
                id: new.id.clone(),
                algorithm,
                state: KeyState::Active,
                public_jwk: new.public_jwk.clone(),
                created_at: now,
                activated_at: Some(now),
                expires_at: None,
            },
        }
    }

    fn unseal(&self, sealed: &SealedKey) -> Result<Signer, KeyRingError> {
        let key = &sealed.key;
        let private = self
            .sealer
            .open(key.id.as_bytes(), &sealed.private_sealed)
            .map_err(|_| KeyRingError::OtherRootSecret(key.id.clone()))?;
        Ok(Signer::parse(&key.id, key.algorithm, &private)?)
    }
}
