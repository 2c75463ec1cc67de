//! The public half of a signing key as a JSON Web Key (RFC 7517), and its thumbprint (RFC 7638).

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_guard::engine::SignatureAlgorithm;
use serde_json::{Map, Value};

/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;

/// A public key: the members that its thumbprint is made of, sorted by name.
pub struct PublicJwk {
    algorithm: SignatureAlgorithm,
    members: Vec<(&'static str, String)>,
}

impl PublicJwk {
    /// An uncompressed point: `0x04`, x, y.
    pub(super) fn p256(point: &[u8]) -> Self {
        let (x, y) = point.split_at(1 + COORDINATE);
        Self {
            algorithm: SignatureAlgorithm::Es256,
            members: vec![
                ("crv", "P-256".to_owned()),
                ("kty", "EC".to_owned()),
                ("x", URL_SAFE_NO_PAD.encode(&x[1..])),
                ("y", URL_SAFE_NO_PAD.encode(y)),
            ],
        }
    }

    /// A point of Ed25519 (RFC 8037).
    pub(super) fn ed25519(point: &[u8]) -> Self {
        Self {
            algorithm: SignatureAlgorithm::EdDsa,
            members: vec![
                ("crv", "Ed25519".to_owned()),
                ("kty", "OKP".to_owned()),
                ("x", URL_SAFE_NO_PAD.encode(point)),
            ],
        }
    }

    /// A modulus and an exponent, big-endian without leading zeros.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self {
            algorithm: SignatureAlgorithm::Rs256,
            members: vec![
                ("e", URL_SAFE_NO_PAD.encode(exponent)),
                ("kty", "RSA".to_owned()),
                ("n", URL_SAFE_NO_PAD.encode(modulus)),
            ],
        }
    }

    /// The thumbprint, base64url: the `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // No member needs escaping, and the order is the one that the RFC wants.
        let members: Vec<_> = self
            .members
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        let canonical = format!("{{{}}}", members.join(","));
        let hash = digest::digest(&digest::SHA256, canonical.as_bytes());
        URL_SAFE_NO_PAD.encode(hash.as_ref())
    }

    /// The key with its id, its use and its one algorithm.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut key: Map<String, Value> = self
            .members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
            .collect();
        key.insert("kid".to_owned(), self.thumbprint().into());
        key.insert("use".to_owned(), "sig".into());
        key.insert("alg".to_owned(), self.algorithm.as_str().into());
        Value::from(key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::PublicJwk;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let point = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        assert_eq!(
            PublicJwk::ed25519(&point).thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
