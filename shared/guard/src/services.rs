//! The service identities that may call: names, scopes, and how each proves itself.

mod parse;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use aws_lc_rs::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

pub use parse::ServiceIdentityError;
pub(crate) use parse::read_key;

/// The metadata key of a service key.
pub const SERVICE_KEY_HEADER: &str = "x-service-key";

/// The least length of a service key, in bytes.
pub const SERVICE_KEY_MIN_BYTES: usize = 32;

/// What the transport knows of a connection's other end. The server sets it as an extension of every request;
/// metadata that claims the same, such as a forwarded certificate, is never believed.
#[derive(Debug, Clone, Default)]
pub struct PeerInfo {
    /// The address at the other end of the socket.
    pub address: Option<SocketAddr>,
    /// The subject alternative names of the client certificate, when one was verified.
    pub sans: Arc<[String]>,
}

/// One service identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceIdentity {
    /// Its name, in logs and in [`crate::caller::ServiceCaller`].
    pub name: String,
    scopes: BTreeSet<String>,
}

impl ServiceIdentity {
    /// Whether the identity may call methods of a scope.
    #[must_use]
    pub fn allows(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

/// The service identities that may call.
///
/// A key is kept as its SHA-256 only. Several keys of one identity may be valid at once, so that one can be rotated.
#[derive(Debug, Clone, Default)]
pub struct ServiceIdentities {
    identities: Vec<ServiceIdentity>,
    /// Digest of a key and the index of its identity.
    keys: Vec<([u8; 32], usize)>,
    /// Subject alternative name and the index of its identity.
    sans: HashMap<String, usize>,
}

impl ServiceIdentities {
    /// The identity with one of these verified subject alternative names.
    #[must_use]
    pub fn by_sans(&self, sans: &[String]) -> Option<&ServiceIdentity> {
        let index = sans.iter().find_map(|san| self.sans.get(san))?;
        self.identities.get(*index)
    }

    /// The identity with this key. Takes the same time for every key: all are compared, each in constant time.
    #[must_use]
    pub fn by_key(&self, key: &[u8]) -> Option<&ServiceIdentity> {
        let presented = sha256(key);
        let mut found = None;
        for (known, index) in &self.keys {
            if bool::from(known.ct_eq(&presented)) {
                found = Some(*index);
            }
        }
        self.identities.get(found?)
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
