//! The public half of a signing key, pinned to its one algorithm.

use std::fmt;

use aws_lc_rs::{
    digest,
    rsa::PublicKeyComponents,
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{algorithm::SignatureAlgorithm, header::is_key_id, json::Members};

/// Members of a private key: one that is handed out is a leak, and nothing to go on with.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The sizes of an RSA modulus that are taken.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// 65,537, the one exponent that keys are made with.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// Why a JSON Web Key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a JSON object, or a member stands twice.
    #[error("the key is no JSON object with members that differ")]
    Malformed,
    /// A private member is there.
    #[error("the key has private members")]
    Private,
    /// A member is absent, or of another type or value than ours have.
    #[error("the key's member {0} is absent or unsupported")]
    Member(&'static str),
    /// The numbers are no key: a point off the curve, a modulus too small.
    #[error("the key's numbers are no key")]
    Numbers,
}

/// A public key that verifies with exactly one algorithm.
pub struct VerifyingKey {
    kid: String,
    algorithm: SignatureAlgorithm,
    // Parsed once and checked by aws-lc-rs directly: to parse the key for every token makes an ES256 check about a
    // tenth slower.
    key: ParsedPublicKey,
    fingerprint: [u8; 32],
}

impl VerifyingKey {
    /// Reads a public JSON Web Key (RFC 7517) with `kid`, `alg` and, where present, `use` = `sig`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn from_jwk_json(json: &str) -> Result<Self, KeyError> {
        let mut jwk = Members::parse(json.as_bytes()).ok_or(KeyError::Malformed)?;
        if jwk.names().any(|name| PRIVATE_MEMBERS.contains(&name)) {
            return Err(KeyError::Private);
        }
        let kid = jwk
            .take_text("kid")
            .filter(|kid| is_key_id(kid))
            .ok_or(KeyError::Member("kid"))?;
        if jwk.take("use").is_some_and(|usage| usage != "sig") {
            return Err(KeyError::Member("use"));
        }
        let algorithm = jwk
            .take_text("alg")
            .and_then(|name| SignatureAlgorithm::parse(&name))
            .ok_or(KeyError::Member("alg"))?;
        let key = match algorithm {
            SignatureAlgorithm::Es256 => {
                expect(&mut jwk, "kty", "EC")?;
                expect(&mut jwk, "crv", "P-256")?;
                let x: [u8; 32] = fixed(&mut jwk, "x")?;
                let y: [u8; 32] = fixed(&mut jwk, "y")?;
                // SEC 1, 2.3.3: the uncompressed form.
                let point = [&[4][..], &x, &y].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            SignatureAlgorithm::EdDsa => {
                expect(&mut jwk, "kty", "OKP")?;
                expect(&mut jwk, "crv", "Ed25519")?;
                let x: [u8; 32] = fixed(&mut jwk, "x")?;
                ParsedPublicKey::new(&ED25519, x)
            }
            SignatureAlgorithm::Rs256 => {
                expect(&mut jwk, "kty", "RSA")?;
                let n = bytes(&mut jwk, "n")?;
                let e = bytes(&mut jwk, "e")?;
                // aws-lc-rs looks at the size only when it verifies.
                if !RSA_BITS.contains(&bit_length(&n)) || e != RSA_EXPONENT {
                    return Err(KeyError::Numbers);
                }
                PublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            }
        }
        .map_err(|_| KeyError::Numbers)?;
        let fingerprint = fingerprint(algorithm, key.as_ref());
        Ok(Self {
            kid,
            algorithm,
            key,
            fingerprint,
        })
    }

    /// The `kid`.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Tells keys apart that bear the same `kid`.
    pub(super) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whether a signature is this key's over a message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn fingerprint(algorithm: SignatureAlgorithm, key: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(algorithm.as_str().as_bytes());
    context.update(key);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

/// The bits of a number in big-endian bytes; zero when a leading byte is zero, which RFC 7518 does not allow.
fn bit_length(number: &[u8]) -> usize {
    match number.first() {
        None | Some(0) => 0,
        Some(first) => number.len() * 8 - first.leading_zeros() as usize,
    }
}

fn expect(jwk: &mut Members, name: &'static str, value: &str) -> Result<(), KeyError> {
    match jwk.take_text(name) {
        Some(text) if text == value => Ok(()),
        _ => Err(KeyError::Member(name)),
    }
}

fn bytes(jwk: &mut Members, name: &'static str) -> Result<Vec<u8>, KeyError> {
    jwk.take_text(name)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or(KeyError::Member(name))
}

fn fixed<const N: usize>(jwk: &mut Members, name: &'static str) -> Result<[u8; N], KeyError> {
    bytes(jwk, name)?
        .try_into()
        .map_err(|_| KeyError::Member(name))
}
