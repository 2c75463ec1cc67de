//! What the verifier adds to the bare signature check, and what the cache saves: ES256 and `EdDSA`.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, ParsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use divan::{Bencher, black_box};
use identity_guard::{
    clock::{ManualClock, Timestamp},
    engine::{
        AccessChange, AccessClaims, AccessState, KeyChange, KeySet, SignatureAlgorithm, Source,
        Verifier, VerifierConfig, VerifyingKey,
    },
    position::Position,
};
use serde_json::json;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "identity";
const NOW: i64 = 1_800_000_000;
const ALGORITHMS: [&str; 2] = ["ES256", "EdDSA"];

fn main() {
    divan::main();
}

/// The signature check alone, with a key that is parsed already: what the others are measured against.
#[divan::bench(args = ALGORITHMS)]
fn raw_signature(bencher: Bencher<'_, '_>, algorithm: &str) {
    let sample = Sample::new(algorithm);
    let (message, signature) = sample.token.rsplit_once('.').unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    bencher.bench(|| {
        sample
            .raw
            .verify_sig(black_box(message.as_bytes()), black_box(&signature))
    });
}

/// A token that was never seen.
#[divan::bench(args = ALGORITHMS)]
fn verify_cold(bencher: Bencher<'_, '_>, algorithm: &str) {
    let sample = Sample::new(algorithm);
    let verifier = Verifier::new(VerifierConfig::new(ISSUER, AUDIENCE));
    let keys = KeySet::new([sample.key()]);
    let now = Timestamp::from_seconds(NOW);
    bencher.bench(|| verifier.verify(black_box(&sample.token), &keys, now));
}

/// The whole decision about a token that was seen before.
#[divan::bench(args = ALGORITHMS)]
fn check_cached(bencher: Bencher<'_, '_>, algorithm: &str) {
    let sample = Sample::new(algorithm);
    let state = AccessState::new(
        VerifierConfig::new(ISSUER, AUDIENCE),
        Arc::new(ManualClock::new(Timestamp::from_seconds(NOW))),
        Duration::from_secs(5),
    );
    state.apply_change(AccessChange::Key(KeyChange::Valid(Arc::new(sample.key()))));
    state.observe_source(Source::Auth, Position::new("a", 1), Duration::ZERO);
    assert!(state.check(&sample.token).is_ok());
    bencher.bench(|| state.check(black_box(&sample.token)));
}

/// A key and a token that it signed.
struct Sample {
    jwk: String,
    raw: ParsedPublicKey,
    token: String,
}

impl Sample {
    fn new(algorithm: &str) -> Self {
        let sample = match SignatureAlgorithm::parse(algorithm) {
            Some(SignatureAlgorithm::Es256) => Self::es256(),
            Some(SignatureAlgorithm::EdDsa) => Self::eddsa(),
            _ => None,
        };
        sample.unwrap_or_else(|| panic!("no sample for {algorithm}"))
    }

    fn es256() -> Option<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        let point = pair.public_key().as_ref();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k1",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        });
        let message = message("ES256");
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).ok()?;
        Some(Self {
            jwk: jwk.to_string(),
            raw: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?,
            token: format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)),
        })
    }

    fn eddsa() -> Option<Self> {
        let pair = Ed25519KeyPair::generate().ok()?;
        let point = pair.public_key().as_ref();
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k1", "x": URL_SAFE_NO_PAD.encode(point),
        });
        let message = message("EdDSA");
        let signature = pair.sign(message.as_bytes());
        Some(Self {
            jwk: jwk.to_string(),
            raw: ParsedPublicKey::new(&ED25519, point).ok()?,
            token: format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)),
        })
    }

    fn key(&self) -> VerifyingKey {
        VerifyingKey::from_jwk_json(&self.jwk)
            .unwrap_or_else(|error| panic!("the key is good: {error}"))
    }
}

/// The signed part of a token of an ordinary size.
fn message(algorithm: &str) -> String {
    let claims = AccessClaims {
        iss: ISSUER.to_owned(),
        sub: "tz4a98xxat96iws9zmbrgj3a".to_owned(),
        aud: vec![AUDIENCE.to_owned()],
        exp: NOW + 600,
        iat: NOW,
        jti: "pfh0haxfpzowht3oi213cqos".to_owned(),
        sid: "nc6bzmkmd014706rfda898to".to_owned(),
        client_id: "default".to_owned(),
        roles: vec!["editor".to_owned(), "viewer".to_owned()],
        perms: vec!["users.read".to_owned()],
        generation: 3,
        upos_epoch: "ka1jvz0q8i9fyzbb0kzkvzu4".to_owned(),
        upos_revision: 123_456,
        amr: vec!["pwd".to_owned()],
        auth_time: NOW,
        acr: Some("pwd".to_owned()),
    };
    let header = json!({"alg": algorithm, "kid": "k1", "typ": "at+jwt"});
    let payload = json!(claims);
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string())
    )
}
