//! The decision about an access token, in memory: free of the network and of the wire's types.
//!
//! [`Verifier`] says whether a token is one of ours by RFC 9068 and RFC 8725. [`AccessState`] adds what is known now:
//! keys, revocations, and how old that knowledge is.

mod algorithm;
mod cache;
mod change;
mod claims;
mod freshness;
mod header;
mod json;
mod key;
mod keyset;
mod revocations;
mod state;
mod verifier;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod verifier_tests;

pub use algorithm::SignatureAlgorithm;
pub use change::{AccessChange, KeyChange, SessionRevocation, Snapshot, SubjectRevocation};
pub use claims::AccessClaims;
pub use freshness::{Source, SourceState};
pub use key::{KeyError, VerifyingKey};
pub use keyset::{KeyLookup, KeySet};
pub use state::{AccessState, Refusal};
pub use verifier::{MAX_TOKEN_BYTES, TokenError, VerifiedToken, Verifier, VerifierConfig};
