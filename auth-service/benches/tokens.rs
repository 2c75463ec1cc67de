//! Signing and verifying an access token against the raw operation on the same bytes.
//!
//! Run with `cargo bench -p auth-service --bench tokens`; the yardstick is the quotient of the medians.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot run says so by failing"
)]

use auth_service::signer::{NewKey, Signer};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        ParsedPublicKey,
    },
};
use divan::{Bencher, black_box};
use identity_guard::{
    clock::Timestamp,
    engine::{AccessClaims, KeySet, SignatureAlgorithm, Verifier, VerifierConfig, VerifyingKey},
};

fn main() {
    divan::main();
}

fn claims() -> AccessClaims {
    AccessClaims {
        iss: "https://id.example".to_owned(),
        sub: "u12345678901234567890123".to_owned(),
        aud: vec!["identity".to_owned()],
        exp: 1_000,
        iat: 400,
        jti: "j12345678901234567890123".to_owned(),
        sid: "s12345678901234567890123".to_owned(),
        client_id: "default".to_owned(),
        roles: vec!["editor".to_owned(), "viewer".to_owned()],
        upos_epoch: "e12345678901234567890123".to_owned(),
        generation: 1,
        amr: vec!["pwd".to_owned()],
        auth_time: 400,
        ..AccessClaims::default()
    }
}

/// The signing input of a token of ours, for the raw operations.
fn message(key: &NewKey) -> String {
    let signer = Signer::parse(&key.id, SignatureAlgorithm::Es256, &key.private).unwrap();
    let token = signer.sign(&claims()).unwrap();
    token.rsplit_once('.').unwrap().0.to_owned()
}

#[divan::bench]
fn raw_sign(bencher: Bencher) {
    let key = NewKey::generate(SignatureAlgorithm::Es256).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.private).unwrap();
    let (message, random) = (message(&key), SystemRandom::new());
    bencher.bench(|| pair.sign(&random, black_box(message.as_bytes())).unwrap());
}

#[divan::bench]
fn token_sign(bencher: Bencher) {
    let key = NewKey::generate(SignatureAlgorithm::Es256).unwrap();
    let signer = Signer::parse(&key.id, SignatureAlgorithm::Es256, &key.private).unwrap();
    let claims = claims();
    bencher.bench(|| signer.sign(black_box(&claims)).unwrap());
}

#[divan::bench]
fn raw_verify(bencher: Bencher) {
    let key = NewKey::generate(SignatureAlgorithm::Es256).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.private).unwrap();
    let message = message(&key);
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key()).unwrap();
    bencher.bench(|| {
        public
            .verify_sig(black_box(message.as_bytes()), signature.as_ref())
            .unwrap();
    });
}

#[divan::bench]
fn token_verify(bencher: Bencher) {
    let key = NewKey::generate(SignatureAlgorithm::Es256).unwrap();
    let signer = Signer::parse(&key.id, SignatureAlgorithm::Es256, &key.private).unwrap();
    let token = signer.sign(&claims()).unwrap();
    let keys = KeySet::new([VerifyingKey::from_jwk_json(&key.public_jwk).unwrap()]);
    let verifier = Verifier::new(VerifierConfig::new("https://id.example", "identity"));
    let now = Timestamp::from_seconds(500);
    bencher.bench(|| verifier.verify(black_box(&token), &keys, now).unwrap());
}
