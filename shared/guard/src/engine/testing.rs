//! An issuer for tests: mints tokens, right and wrong ones.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{AccessClaims, KeySet, VerifiedToken, Verifier, VerifierConfig, VerifyingKey};
use crate::clock::Timestamp;

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "identity";
/// The moment of the tests, in seconds.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

pub(crate) fn config() -> VerifierConfig {
    VerifierConfig::new(ISSUER, AUDIENCE)
}

/// Good claims of the user `u1` in the session `s1`, issued now for ten minutes.
pub(crate) fn claims() -> AccessClaims {
    AccessClaims {
        iss: ISSUER.to_owned(),
        sub: "u1".to_owned(),
        aud: vec![AUDIENCE.to_owned()],
        exp: NOW + 600,
        iat: NOW,
        jti: "t1".to_owned(),
        sid: "s1".to_owned(),
        client_id: "default".to_owned(),
        roles: vec!["editor".to_owned()],
        perms: Vec::new(),
        generation: 1,
        upos_epoch: "e1".to_owned(),
        upos_revision: 7,
        amr: vec!["pwd".to_owned()],
        auth_time: NOW,
        acr: None,
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// Signs what it is told to.
pub(crate) struct Issuer {
    kid: String,
    pair: Pair,
}

impl Issuer {
    pub(crate) fn es256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("generates");
        Self {
            kid: kid.to_owned(),
            pair: Pair::Es256(pair),
        }
    }

    pub(crate) fn eddsa(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            pair: Pair::EdDsa(Ed25519KeyPair::generate().expect("generates")),
        }
    }

    pub(crate) fn rs256(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            pair: Pair::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).expect("generates")),
        }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
            Pair::Rs256(_) => "RS256",
        }
    }

    /// The public half as a JSON Web Key.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])})
            }
            Pair::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
            Pair::Rs256(pair) => {
                let key = pair.public_key();
                let modulus = key.modulus().big_endian_without_leading_zero().to_vec();
                let exponent = key.exponent().big_endian_without_leading_zero().to_vec();
                json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        jwk
    }

    pub(crate) fn key(&self) -> VerifyingKey {
        VerifyingKey::from_jwk_json(&self.jwk().to_string()).expect("the key is good")
    }

    pub(crate) fn keys(&self) -> KeySet {
        KeySet::new([self.key()])
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "kid": self.kid, "typ": "at+jwt"})
    }

    /// A good token.
    pub(crate) fn token(&self, claims: &AccessClaims) -> String {
        let payload = serde_json::to_string(claims).expect("serialises");
        self.sign(&self.header().to_string(), &payload)
    }

    /// Signs any header and payload.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        self.sign_text(&format!("{}.{}", encode(header), encode(payload)))
    }

    /// Signs any text and appends the signature.
    pub(crate) fn sign_text(&self, message: &str) -> String {
        let signature = match &self.pair {
            Pair::Es256(pair) => pair
                .sign(&SystemRandom::new(), message.as_bytes())
                .expect("signs")
                .as_ref()
                .to_vec(),
            Pair::EdDsa(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message.as_bytes(),
                    &mut signature,
                )
                .expect("signs");
                signature
            }
        };
        format!("{message}.{}", encode(signature))
    }

    /// A token as it is after verification.
    pub(crate) fn verified(&self, claims: &AccessClaims) -> VerifiedToken {
        Verifier::new(config())
            .verify(&self.token(claims), &self.keys(), now())
            .expect("the token is good")
    }
}
