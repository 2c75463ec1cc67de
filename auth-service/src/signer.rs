//! Signing of access tokens with kept key pairs, and the making of such keys.

mod jwk;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_guard::engine::{AccessClaims, MAX_TOKEN_BYTES, SignatureAlgorithm};
use zeroize::Zeroizing;

pub use self::jwk::PublicJwk;

/// A key cannot be made, read or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing key cannot be {0}")]
pub struct KeyError(&'static str);

impl KeyError {
    /// There is no key that signs.
    #[must_use]
    pub const fn absent() -> Self {
        Self("found")
    }
}

/// A key that was just made.
pub struct NewKey {
    /// The `kid`: the thumbprint of RFC 7638.
    pub id: String,
    /// The public half as a JSON Web Key.
    pub public_jwk: String,
    /// The private half, PKCS #8.
    pub private: Zeroizing<Vec<u8>>,
}

/// A key pair that is ready to sign.
pub struct Signer {
    pair: Pair,
    random: SystemRandom,
    /// The first segment of every token, with its dot.
    header: String,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(rsa::KeyPair),
}

impl NewKey {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the system gives no randomness.
    pub fn generate(algorithm: SignatureAlgorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError("made");
        let random = SystemRandom::new();
        let private = match algorithm {
            SignatureAlgorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(failed)?
                    .as_ref()
                    .to_vec()
            }
            SignatureAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random)
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            SignatureAlgorithm::Rs256 => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa3072).map_err(failed)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
        };
        let private = Zeroizing::new(private);
        let public = Pair::parse(algorithm, &private)?.public_jwk();
        Ok(Self {
            id: public.thumbprint(),
            public_jwk: public.to_json(),
            private,
        })
    }
}

impl Signer {
    /// Reads a private half, once for all its signatures.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it is none of this algorithm.
    pub fn parse(
        key_id: &str,
        algorithm: SignatureAlgorithm,
        private: &[u8],
    ) -> Result<Self, KeyError> {
        let pair = Pair::parse(algorithm, private)?;
        let header = serde_json::json!({
            "alg": algorithm.as_str(),
            "kid": key_id,
            "typ": "at+jwt",
        });
        let mut header = URL_SAFE_NO_PAD.encode(header.to_string());
        header.push('.');
        Ok(Self {
            pair,
            random: SystemRandom::new(),
            header,
        })
    }

    /// An access token of RFC 9068 with these claims: secret.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the signature cannot be made, or the token would be longer than any verifier looks at: its
    /// owner is better off without it.
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, KeyError> {
        let payload = serde_json::to_vec(claims).map_err(|_| KeyError("given these claims"))?;
        let mut token = String::with_capacity(self.header.len() + payload.len() * 4 / 3 + 96);
        token.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self
            .pair
            .sign(&self.random, token.as_bytes(), |signature| {
                URL_SAFE_NO_PAD.encode(signature)
            })?;
        token.push('.');
        token.push_str(&signature);
        if token.len() > MAX_TOKEN_BYTES {
            return Err(KeyError("used for a token of this length"));
        }
        Ok(token)
    }
}

impl Pair {
    fn parse(algorithm: SignatureAlgorithm, private: &[u8]) -> Result<Self, KeyError> {
        let broken = |_| KeyError("read");
        Ok(match algorithm {
            SignatureAlgorithm::Es256 => Self::Es256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private)
                    .map_err(broken)?,
            ),
            SignatureAlgorithm::EdDsa => {
                Self::EdDsa(Ed25519KeyPair::from_pkcs8(private).map_err(broken)?)
            }
            SignatureAlgorithm::Rs256 => {
                Self::Rs256(rsa::KeyPair::from_pkcs8(private).map_err(broken)?)
            }
        })
    }

    fn sign<T>(
        &self,
        random: &SystemRandom,
        message: &[u8],
        encode: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, KeyError> {
        let failed = |_| KeyError("used");
        match self {
            Self::Es256(pair) => pair
                .sign(random, message)
                .map(|signature| encode(signature.as_ref()))
                .map_err(failed),
            Self::EdDsa(pair) => Ok(encode(pair.sign(message).as_ref())),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, message, &mut signature)
                    .map(|()| encode(&signature))
                    .map_err(failed)
            }
        }
    }

    fn public_jwk(&self) -> PublicJwk {
        match self {
            Self::Es256(pair) => PublicJwk::p256(pair.public_key().as_ref()),
            Self::EdDsa(pair) => PublicJwk::ed25519(pair.public_key().as_ref()),
            Self::Rs256(pair) => PublicJwk::rsa(
                pair.public_key()
                    .modulus()
                    .big_endian_without_leading_zero(),
                pair.public_key()
                    .exponent()
                    .big_endian_without_leading_zero(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use identity_guard::{
        clock::Timestamp,
        engine::{
            AccessClaims, KeySet, MAX_TOKEN_BYTES, SignatureAlgorithm, Verifier, VerifierConfig,
            VerifyingKey,
        },
    };

    use super::{NewKey, Signer};

    fn claims() -> AccessClaims {
        AccessClaims {
            iss: "https://id.example".to_owned(),
            sub: "u123456789012345678901234".to_owned(),
            aud: vec!["identity".to_owned()],
            exp: 1_000,
            iat: 400,
            jti: "j123456789012345678901234".to_owned(),
            sid: "s123456789012345678901234".to_owned(),
            client_id: "default".to_owned(),
            roles: vec!["admin".to_owned(), "editor".to_owned()],
            upos_epoch: "e12345678901234567890123".to_owned(),
            generation: 1,
            amr: vec!["pwd".to_owned()],
            auth_time: 400,
            ..AccessClaims::default()
        }
    }

    #[test]
    fn what_is_signed_is_verified_by_the_published_key_for_every_algorithm() {
        for algorithm in [
            SignatureAlgorithm::Es256,
            SignatureAlgorithm::EdDsa,
            SignatureAlgorithm::Rs256,
        ] {
            let key = NewKey::generate(algorithm).unwrap();
            let token = Signer::parse(&key.id, algorithm, &key.private)
                .unwrap()
                .sign(&claims())
                .unwrap();
            assert!(token.len() <= 1024, "{} bytes", token.len());
            let keys = KeySet::new([VerifyingKey::from_jwk_json(&key.public_jwk).unwrap()]);
            let verifier = Verifier::new(VerifierConfig::new("https://id.example", "identity"));
            let accepted = verifier
                .verify(&token, &keys, Timestamp::from_seconds(500))
                .unwrap();
            assert_eq!(accepted.claims(), &claims());
            assert_eq!(accepted.kid(), key.id);
        }
    }

    #[test]
    fn a_token_that_no_verifier_would_look_at_is_not_handed_out() {
        let key = NewKey::generate(SignatureAlgorithm::EdDsa).unwrap();
        let signer = Signer::parse(&key.id, SignatureAlgorithm::EdDsa, &key.private).unwrap();
        let mut lengths = Vec::new();
        // Up to three more bytes of claims make four more of the token.
        for length in 5_000..6_000 {
            let claims = AccessClaims {
                roles: vec!["r".repeat(length)],
                ..claims()
            };
            match signer.sign(&claims) {
                Ok(token) => lengths.push(token.len()),
                Err(_) => break,
            }
        }
        let longest = lengths.last().copied().unwrap();
        assert!(
            (MAX_TOKEN_BYTES - 1..=MAX_TOKEN_BYTES).contains(&longest),
            "{longest}"
        );
    }

    #[test]
    fn a_private_half_of_another_kind_is_refused() {
        let key = NewKey::generate(SignatureAlgorithm::EdDsa).unwrap();
        assert!(Signer::parse(&key.id, SignatureAlgorithm::Es256, &key.private).is_err());
    }
}
