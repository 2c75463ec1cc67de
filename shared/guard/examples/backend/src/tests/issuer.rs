//! Signs the access tokens of the tests.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_guard::{Clock, SystemClock, engine::AccessClaims};
use serde_json::json;

pub(super) const ISSUER: &str = "https://id.example";
pub(super) const AUDIENCE: &str = "notes";
pub(super) const KEY_ID: &str = "k1";

pub(super) struct Issuer(EcdsaKeyPair);

impl Issuer {
    pub(super) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("generates"))
    }

    /// The public half as a JSON Web Key.
    pub(super) fn jwk(&self) -> String {
        let point = self.0.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "kid": KEY_ID, "alg": "ES256", "use": "sig",
            "x": encode(&point[1..33]), "y": encode(&point[33..]),
        })
        .to_string()
    }

    /// A token that is good for ten minutes.
    pub(super) fn token(&self, user_id: &str, session_id: &str) -> String {
        let now = SystemClock.now().seconds();
        let claims = AccessClaims {
            iss: ISSUER.to_owned(),
            sub: user_id.to_owned(),
            aud: vec![AUDIENCE.to_owned()],
            exp: now + 600,
            iat: now,
            jti: format!("{user_id}-{session_id}"),
            sid: session_id.to_owned(),
            client_id: "tests".to_owned(),
            generation: 1,
            upos_epoch: "e".to_owned(),
            upos_revision: 1,
            auth_time: now,
            ..AccessClaims::default()
        };
        let header = json!({"alg": "ES256", "kid": KEY_ID, "typ": "at+jwt"}).to_string();
        let payload = serde_json::to_string(&claims).expect("serialises");
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes());
        format!("{message}.{}", encode(signature.expect("signs")))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
