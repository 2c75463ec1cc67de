//! Passwords: what may be chosen, how it is hashed and verified, and the threads that do it.
//!
//! A [`NewPassword`] passed the policy and may be set; a [`Candidate`] is what somebody typed to prove an identity.
//! Both are hashed by a [`HashPool`] and nowhere else, so that a storm of logins never slows the calls beside it.
//! Hashes that other programs made are read by [`import_hash`], verified like our own, and replaced at the first proof.

mod blocklist;
mod derive;
mod hasher;
mod import;
mod phc;
mod policy;
mod pool;
mod queue;
mod scheme;
mod text;

pub use hasher::HashError;
pub use import::import_hash;
pub use policy::{PasswordPolicy, PolicyError};
pub use pool::{HashPool, HashPoolError, Verification};
pub use scheme::HashProblem;
pub use text::{Candidate, NewPassword, PasswordProblem, candidate};

use crate::status::{ErrorReason, Failure};

impl From<HashError> for Failure {
    /// What callers are told: overload with the time to come back, and nothing of anything else.
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::new(
                ErrorReason::Overloaded,
                "more passwords are waiting to be checked than can be in time",
            )
            .with_retry_after(retry_after),
            HashError::Unusable(_) | HashError::OutOfMemory | HashError::Stopped => {
                Self::internal()
            }
        }
    }
}
