//! Proving an identity by password: counted before it is tried, and the same work whoever is asked for.

use identity_guard::deadline;
use identity_kit::password::{Candidate, HashError, Verification};

use super::{AuthError, Authority};
use crate::{
    client::Whose,
    domain::{
        account::Credential,
        identifier::LoginIdentifier,
        throttle::{LoginAdmission, LoginKeys},
    },
    store::throttles,
};

/// A proven identity.
#[derive(Debug)]
pub struct Proof {
    /// The user.
    pub credential: Credential,
    /// Whether the stored hash is below the policy.
    pub needs_rehash: bool,
    /// The attempt, still counted: it is settled with what the login makes.
    pub attempt: LoginKeys,
}

impl Authority {
    /// Proves an identity by password. Nothing is said of the account's status. The attempt is counted before the
    /// password is looked at, and stays so: whoever goes on with the proof settles it.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvalidCredentials`] after the same work for an unknown user, a wrong password, none set, and a
    /// locked account; [`AuthError::TooManyAttempts`]; or no answer of user-service, the database or the hash threads.
    pub async fn prove(
        &self,
        identifier: &LoginIdentifier,
        password: Candidate,
        network: &str,
    ) -> Result<Proof, AuthError> {
        let pair = self.throttle_keys.pair(identifier, network);
        let network = self.throttle_keys.network(network);
        let now = self.now();
        // A look before the counting: an attack that is refused writes nothing.
        let blocked =
            throttles::blocked_for(self.database.reader(), [&pair, &network], now).await?;
        if let Some(retry_after) = blocked {
            return Err(AuthError::TooManyAttempts { retry_after });
        }

        // What cannot be verified in time is refused before it is counted and before user-service is asked.
        self.hashes.has_room(deadline::current())?;

        let credential = if identifier.can_be_known() {
            let whose = Whose::Login(identifier);
            self.directory.find_credential(whose).await?
        } else {
            None
        };
        let account = match &credential {
            Some(credential) => self.throttle_keys.account(&credential.access.user_id),
            None => self.throttle_keys.no_account(identifier),
        };
        let keys = LoginKeys {
            pair,
            network,
            account,
        };
        let admission = self.charge(&keys).await?;
        let locked = admission == LoginAdmission::AccountLocked;
        let user_id = credential
            .as_ref()
            .map(|credential| credential.access.user_id.clone());
        match self.compare(credential, password, locked).await {
            Ok(Some((credential, needs_rehash))) => Ok(Proof {
                credential,
                needs_rehash,
                attempt: keys,
            }),
            Ok(None) => {
                if let LoginAdmission::Admitted {
                    locks_account: true,
                } = admission
                    && let Some(user_id) = user_id
                {
                    tracing::warn!(%user_id, "an account is locked after too many attempts");
                }
                Err(AuthError::InvalidCredentials)
            }
            Err(error) => {
                let (limits, now) = (&self.policy.throttle, self.now());
                throttles::refund(&self.database, &keys, limits, locked, now).await?;
                Err(error.into())
            }
        }
    }

    /// Reads the proven credential again, since another mint has outdated what was read with it. Where it has changed
    /// meanwhile, the password is proven anew: it is still the same when it was only hashed anew, by a login beside this
    /// one.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvalidCredentials`] when the password is another one by now, or the user is gone; or no answer of
    /// user-service or the hash threads.
    pub async fn renew(&self, proof: &mut Proof, password: Candidate) -> Result<(), AuthError> {
        let user_id = &proof.credential.access.user_id;
        let credential = self
            .directory
            .find_credential(Whose::User(user_id))
            .await?
            .ok_or(AuthError::InvalidCredentials)?;
        if credential.version == proof.credential.version {
            proof.credential = credential;
            return Ok(());
        }
        let proven = self.compare(Some(credential), password, false).await?;
        (proof.credential, proof.needs_rehash) = proven.ok_or(AuthError::InvalidCredentials)?;
        Ok(())
    }

    /// Settles the attempt of a right password that made neither a session nor a challenge.
    pub async fn settle(&self, proof: &Proof) {
        let (limits, now) = (&self.policy.throttle, self.now());
        let settled = throttles::succeed(&self.database, &proof.attempt, limits, now).await;
        if let Err(error) = settled {
            tracing::info!(?error, "a right password stays counted as an attempt");
        }
    }

    /// Takes the attempt of a right password back, and nothing else: who may not use the system begins no count anew.
    pub async fn give_back(&self, proof: &Proof) {
        let (limits, now) = (&self.policy.throttle, self.now());
        let refunded = throttles::refund(&self.database, &proof.attempt, limits, false, now).await;
        if let Err(error) = refunded {
            tracing::info!(?error, "a right password stays counted as an attempt");
        }
    }

    /// Verifies the password, or does the same work in vain. Gives the credential and whether its hash is below the
    /// policy.
    async fn compare(
        &self,
        credential: Option<Credential>,
        password: Candidate,
        locked: bool,
    ) -> Result<Option<(Credential, bool)>, HashError> {
        let deadline = deadline::current();
        let known = credential
            .filter(|_| !locked)
            .and_then(|credential| Some((credential.password_hash.clone()?, credential)));
        let Some((hash, credential)) = known else {
            self.hashes.verify_nothing(password, deadline).await?;
            return Ok(None);
        };
        let verified = self
            .hashes
            .verify(password.clone(), hash.as_phc().to_owned(), deadline)
            .await;
        match verified {
            Ok(Verification {
                matches: true,
                needs_rehash,
            }) => Ok(Some((credential, needs_rehash))),
            Ok(_) => Ok(None),
            Err(HashError::Unusable(problem)) => {
                tracing::error!(user_id = %credential.access.user_id, %problem, "unusable hash");
                self.hashes.verify_nothing(password, deadline).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Counts the attempt; gives how the account stands.
    async fn charge(&self, keys: &LoginKeys) -> Result<LoginAdmission, AuthError> {
        let (limits, now) = (&self.policy.throttle, self.now());
        match throttles::charge(&self.database, keys, limits, now).await? {
            LoginAdmission::Refused { retry_after } => {
                Err(AuthError::TooManyAttempts { retry_after })
            }
            admitted => Ok(admitted),
        }
    }
}
