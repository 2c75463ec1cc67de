//! An issuer of access tokens with a key of its own.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_guard::engine::{AccessClaims, VerifyingKey};
use serde_json::json;

pub(super) const ISSUER: &str = "http://127.0.0.1:50061";
pub(super) const AUDIENCE: &str = "identity";

/// Signs access tokens.
pub(super) struct Issuer(EcdsaKeyPair);

impl Issuer {
    pub(super) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn key(&self) -> VerifyingKey {
        let point = self.0.public_key().as_ref();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "test",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        });
        VerifyingKey::from_jwk_json(&jwk.to_string()).unwrap()
    }

    /// A token of a user that ends at a second of the Unix epoch.
    pub(super) fn token(&self, user_id: &str, expires_at: i64) -> String {
        self.token_of(user_id, expires_at, expires_at - 600)
    }

    /// The same for somebody who logged in at this second.
    pub(super) fn token_of(&self, user_id: &str, expires_at: i64, auth_time: i64) -> String {
        let claims = AccessClaims {
            iss: ISSUER.to_owned(),
            sub: user_id.to_owned(),
            aud: vec![AUDIENCE.to_owned()],
            exp: expires_at,
            iat: expires_at - 600,
            jti: "token".to_owned(),
            sid: format!("session-of-{user_id}"),
            client_id: "test".to_owned(),
            generation: 1,
            upos_epoch: "user".to_owned(),
            upos_revision: 1,
            auth_time,
            ..AccessClaims::default()
        };
        let header = json!({ "alg": "ES256", "kid": "test", "typ": "at+jwt" }).to_string();
        let payload = serde_json::to_string(&claims).unwrap();
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature = self
            .0
            .sign(&SystemRandom::new(), message.as_bytes())
            .unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
