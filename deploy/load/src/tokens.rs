//! Y4: what verifying and signing a token costs beside the bare signature operations.

use std::{error::Error, sync::Arc, time::Duration};

use auth_service::signer::{NewKey, Signer};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_guard::{
    clock::{Clock as _, SystemClock, Timestamp},
    engine::{
        AccessChange, AccessClaims, AccessState, KeyChange, KeySet, SignatureAlgorithm, Source,
        Verifier, VerifierConfig, VerifyingKey,
    },
    position::Position,
};
use serde_json::json;

use crate::{ratio::compare, report::Row};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "identity";
const OPERATIONS: u32 = 2_000;

/// Verification of a token never seen, and the decision about one seen before, for ES256 and `EdDSA`.
pub(crate) fn verification() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for sample in [Sample::es256()?, Sample::eddsa()?] {
        let verifier = Verifier::new(VerifierConfig::new(ISSUER, AUDIENCE));
        let keys = KeySet::new([VerifyingKey::from_jwk_json(&sample.jwk)?]);
        let now = SystemClock.now();
        let (message, signature) = sample.token.rsplit_once('.').ok_or("no signature")?;
        let signature = URL_SAFE_NO_PAD.decode(signature)?;
        let raw = |operations| {
            for _ in 0..operations {
                let outcome = sample.raw.verify_sig(message.as_bytes(), &signature);
                assert!(std::hint::black_box(outcome).is_ok());
            }
        };
        let cold = compare(
            OPERATIONS,
            |operations| {
                for _ in 0..operations {
                    let outcome = verifier.verify(&sample.token, &keys, now);
                    assert!(std::hint::black_box(outcome).is_ok());
                }
            },
            raw,
        );
        rows.push(Row::of_cost(
            "Y4",
            format!("verify a token, {} ÷ the raw signature check", sample.name),
            "≤ 1.2 (1.1)",
            &cold,
        ));

        let state = AccessState::new(
            VerifierConfig::new(ISSUER, AUDIENCE),
            Arc::new(SystemClock),
            Duration::from_mins(5),
        );
        let key = VerifyingKey::from_jwk_json(&sample.jwk)?;
        state.apply_change(AccessChange::Key(KeyChange::Valid(Arc::new(key))));
        state.observe_source(Source::Auth, Position::new("a", 1), Duration::ZERO);
        let seen = compare(
            OPERATIONS * 20,
            |operations| {
                for _ in 0..operations {
                    assert!(std::hint::black_box(state.check(&sample.token)).is_ok());
                }
            },
            |operations| raw(operations / 20),
        );
        rows.push(Row {
            yardstick: "–",
            what: format!("decide about a token seen before, {}", sample.name),
            measured: format!("{:.2} µs", seen.subject.as_secs_f64() * 1e6),
            held: "–",
            note: "cache, expiry, key, revocations and generation looked at each time".into(),
        });
    }
    Ok(rows)
}

/// Making a token, claims to text, beside the bare signature.
pub(crate) fn signing() -> Result<Vec<Row>, Box<dyn Error>> {
    let claims = claims();
    let text = message("ES256")?;
    let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let ed25519 = Ed25519KeyPair::generate()?;
    let random = SystemRandom::new();
    let raw_ecdsa = || ecdsa.sign(&random, text.as_bytes()).is_ok();
    let raw_ed25519 = || !ed25519.sign(text.as_bytes()).as_ref().is_empty();
    let cases: [(SignatureAlgorithm, &dyn Fn() -> bool); 2] = [
        (SignatureAlgorithm::Es256, &raw_ecdsa),
        (SignatureAlgorithm::EdDsa, &raw_ed25519),
    ];
    let mut rows = Vec::new();
    for (algorithm, raw) in cases {
        let key = NewKey::generate(algorithm)?;
        let signer = Signer::parse(&key.id, algorithm, &key.private)?;
        let ratio = compare(
            OPERATIONS,
            |operations| {
                for _ in 0..operations {
                    assert!(std::hint::black_box(signer.sign(&claims)).is_ok());
                }
            },
            |operations| {
                for _ in 0..operations {
                    assert!(std::hint::black_box(raw()));
                }
            },
        );
        rows.push(Row::of_cost(
            "Y4",
            format!("make a token, {algorithm} ÷ the raw signature"),
            "≤ 1.2 (1.1)",
            &ratio,
        ));
    }
    Ok(rows)
}

/// A token and the key that signed it.
struct Sample {
    name: &'static str,
    jwk: String,
    raw: ParsedPublicKey,
    token: String,
}

impl Sample {
    fn es256() -> Result<Self, Box<dyn Error>> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k1",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        let message = message("ES256")?;
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes())?;
        Ok(Self {
            name: "ES256",
            jwk: jwk.to_string(),
            raw: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)?,
            token: format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)),
        })
    }

    fn eddsa() -> Result<Self, Box<dyn Error>> {
        let pair = Ed25519KeyPair::generate()?;
        let point = pair.public_key().as_ref();
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k1",
            "x": URL_SAFE_NO_PAD.encode(point),
        });
        let message = message("EdDSA")?;
        let signature = pair.sign(message.as_bytes());
        Ok(Self {
            name: "EdDSA",
            jwk: jwk.to_string(),
            raw: ParsedPublicKey::new(&ED25519, point)?,
            token: format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)),
        })
    }
}

/// Header and claims of a usual token, not signed yet.
fn message(algorithm: &str) -> Result<String, Box<dyn Error>> {
    let header = json!({"alg": algorithm, "typ": "at+jwt", "kid": "k1"}).to_string();
    Ok(format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims())?)
    ))
}

/// The claims of a usual token.
fn claims() -> AccessClaims {
    let now: Timestamp = SystemClock.now();
    AccessClaims {
        iss: ISSUER.into(),
        sub: "c5s3l0o5qk9m2w7x1z8v4b6n".into(),
        aud: vec![AUDIENCE.into()],
        exp: now.seconds() + 600,
        iat: now.seconds(),
        jti: "c0a1b2c3d4e5f6g7h8i9j0k1".into(),
        sid: "cz9y8x7w6v5u4t3s2r1q0p9o".into(),
        client_id: "default".into(),
        roles: vec!["editor".into(), "viewer".into()],
        perms: Vec::new(),
        generation: 0,
        upos_epoch: "c1d2e3f4g5h6i7j8k9l0m1n2".into(),
        upos_revision: 4_711,
        amr: vec!["pwd".into()],
        auth_time: now.seconds(),
        acr: None,
    }
}
