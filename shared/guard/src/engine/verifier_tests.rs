//! What the verifier takes and, case by case, what it refuses and why.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    AccessClaims, KeyError, KeySet, MAX_TOKEN_BYTES, SignatureAlgorithm, TokenError, VerifiedToken,
    Verifier, VerifyingKey,
    testing::{AUDIENCE, ISSUER, Issuer, NOW, claims, config, encode, now},
};
use crate::clock::Timestamp;

fn verify(token: &str, keys: &KeySet) -> Result<VerifiedToken, TokenError> {
    Verifier::new(config()).verify(token, keys, now())
}

/// The good payload with some members replaced; `null` takes a member out.
fn payload(changes: &Value) -> String {
    let mut payload = serde_json::to_value(claims()).expect("serialises");
    merge(&mut payload, changes);
    payload.to_string()
}

fn merge(object: &mut Value, changes: &Value) {
    let object = object.as_object_mut().expect("is an object");
    for (name, value) in changes.as_object().expect("is an object").clone() {
        if value.is_null() {
            object.remove(&name);
        } else {
            object.insert(name, value);
        }
    }
}

#[test]
fn a_good_token_of_each_algorithm_passes() {
    for issuer in [
        Issuer::es256("k1"),
        Issuer::eddsa("k1"),
        Issuer::rs256("k1"),
    ] {
        let token = verify(&issuer.token(&claims()), &issuer.keys()).expect("passes");
        assert_eq!(*token.claims(), claims());
        assert_eq!(token.kid(), "k1");
        assert_eq!(token.expires_at(), Timestamp::from_seconds(NOW + 600));
    }
}

#[test]
fn every_way_to_write_a_good_header_and_payload_passes() {
    let issuer = Issuer::es256("k1");
    let keys = issuer.keys();
    let good = payload(&json!({}));
    for kind in [
        "AT+JWT",
        "at+JWT",
        "application/at+jwt",
        "Application/At+Jwt",
    ] {
        let mut header = issuer.header();
        merge(&mut header, &json!({"typ": kind}));
        assert!(
            verify(&issuer.sign(&header.to_string(), &good), &keys).is_ok(),
            "{kind}"
        );
    }
    for changes in [
        json!({"aud": AUDIENCE}),
        json!({"aud": ["other", AUDIENCE]}),
        json!({"nbf": NOW}),
        json!({"acr": "pwd", "roles": null, "amr": null}),
        json!({"unknown": {"a": [1, 2.5, true, null]}}),
    ] {
        let token = issuer.sign(&issuer.header().to_string(), &payload(&changes));
        assert!(verify(&token, &keys).is_ok(), "{changes}");
    }
}

#[test]
fn a_header_that_says_anything_else_is_refused() {
    use TokenError::{UnknownKey, UnsupportedHeader};
    let issuer = Issuer::es256("k1");
    let keys = issuer.keys();
    let good = payload(&json!({}));
    let cases = [
        (json!({"alg": "none"}), UnsupportedHeader("alg")),
        (json!({"alg": "NONE"}), UnsupportedHeader("alg")),
        (json!({"alg": "nOnE"}), UnsupportedHeader("alg")),
        (json!({"alg": ""}), UnsupportedHeader("alg")),
        (json!({"alg": null}), UnsupportedHeader("alg")),
        (json!({"alg": 256}), UnsupportedHeader("alg")),
        (json!({"alg": ["ES256"]}), UnsupportedHeader("alg")),
        (json!({"alg": "HS256"}), UnsupportedHeader("alg")),
        (json!({"alg": "ES384"}), UnsupportedHeader("alg")),
        (json!({"alg": "PS256"}), UnsupportedHeader("alg")),
        (json!({"alg": "es256"}), UnsupportedHeader("alg")),
        // Known, and not this key's.
        (json!({"alg": "RS256"}), UnsupportedHeader("alg")),
        (json!({"alg": "EdDSA"}), UnsupportedHeader("alg")),
        (json!({"kid": null}), UnsupportedHeader("kid")),
        (json!({"kid": ""}), UnsupportedHeader("kid")),
        (json!({"kid": 1}), UnsupportedHeader("kid")),
        (json!({"kid": "k".repeat(129)}), UnsupportedHeader("kid")),
        (json!({"kid": "k".repeat(128)}), UnknownKey),
        (json!({"kid": "k2"}), UnknownKey),
        (json!({"kid": "../../k1"}), UnknownKey),
        (json!({"typ": null}), UnsupportedHeader("typ")),
        (json!({"typ": "JWT"}), UnsupportedHeader("typ")),
        (json!({"typ": "at+jwt "}), UnsupportedHeader("typ")),
        (json!({"typ": "text/at+jwt"}), UnsupportedHeader("typ")),
        (json!({"typ": "logout+jwt"}), UnsupportedHeader("typ")),
        (json!({"typ": ["at+jwt"]}), UnsupportedHeader("typ")),
        (json!({"crit": []}), UnsupportedHeader("crit")),
        (
            json!({"crit": ["exp"], "exp": 1}),
            UnsupportedHeader("crit"),
        ),
        (
            json!({"jku": "https://evil.example/jwks"}),
            UnsupportedHeader("jku"),
        ),
        (json!({"jwk": issuer.jwk()}), UnsupportedHeader("jwk")),
        (
            json!({"x5u": "https://evil.example"}),
            UnsupportedHeader("x5u"),
        ),
        (json!({"x5c": ["MII="]}), UnsupportedHeader("x5c")),
        (json!({"x5t": "AA"}), UnsupportedHeader("x5t")),
        (json!({"b64": false}), UnsupportedHeader("b64")),
        (json!({"zip": "DEF"}), UnsupportedHeader("zip")),
        (json!({"cty": "JWT"}), UnsupportedHeader("cty")),
        (json!({"anything": 1}), UnsupportedHeader("unknown")),
    ];
    for (changes, expected) in cases {
        let mut header = issuer.header();
        merge(&mut header, &changes);
        let token = issuer.sign(&header.to_string(), &good);
        assert_eq!(verify(&token, &keys), Err(expected), "{changes}");
    }
}

#[test]
fn a_claim_that_is_absent_wrong_or_of_another_type_is_refused() {
    use TokenError::{Claims, Expired, NotYetValid};
    let issuer = Issuer::es256("k1");
    let keys = issuer.keys();
    let mut cases = vec![
        (json!({"iss": "https://id.example/"}), Claims("iss")),
        (json!({"iss": "https://evil.example"}), Claims("iss")),
        (json!({"iss": [ISSUER]}), Claims("iss")),
        (json!({"aud": "other"}), Claims("aud")),
        (json!({"aud": []}), Claims("aud")),
        (json!({"aud": ["Identity"]}), Claims("aud")),
        (json!({"aud": [AUDIENCE, 1]}), Claims("aud")),
        (json!({"aud": {"identity": true}}), Claims("aud")),
        (json!({"exp": NOW - 31}), Expired),
        (json!({"exp": NOW - 30}), Expired),
        (json!({"exp": -1}), Expired),
        (json!({"exp": i64::MIN}), Expired),
        (json!({"exp": 1e300}), Claims("exp")),
        (json!({"exp": 1_900_000_000.5}), Claims("exp")),
        (json!({"exp": u64::MAX}), Claims("exp")),
        (json!({"iat": NOW + 31}), NotYetValid),
        (json!({"nbf": NOW + 31}), NotYetValid),
        (json!({"nbf": "0"}), Claims("nbf")),
        (json!({"nbf": 0.5}), Claims("nbf")),
        (json!({"gen": -1}), Claims("gen")),
        (json!({"uvr": 1.5}), Claims("uvr")),
        (json!({"roles": "admin"}), Claims("roles")),
        (json!({"roles": [1]}), Claims("roles")),
        (json!({"perms": {}}), Claims("perms")),
        (json!({"amr": "pwd"}), Claims("amr")),
        (json!({"acr": 1}), Claims("acr")),
    ];
    for name in ["iss", "aud", "sub", "jti", "sid", "client_id", "uve"] {
        cases.push((json!({ name: null }), Claims(name)));
        cases.push((json!({ name: "" }), Claims(name)));
        cases.push((json!({ name: 1 }), Claims(name)));
        cases.push((json!({ name: true }), Claims(name)));
    }
    for name in ["exp", "iat", "auth_time", "gen", "uvr"] {
        cases.push((json!({ name: null }), Claims(name)));
        cases.push((json!({ name: (NOW + 5).to_string() }), Claims(name)));
        cases.push((json!({ name: [1] }), Claims(name)));
    }
    for (changes, expected) in cases {
        let token = issuer.sign(&issuer.header().to_string(), &payload(&changes));
        assert_eq!(verify(&token, &keys), Err(expected), "{changes}");
    }
    let null = payload(&json!({})).replace("\"u1\"", "null");
    let token = issuer.sign(&issuer.header().to_string(), &null);
    assert_eq!(verify(&token, &keys), Err(Claims("sub")));
}

#[test]
fn the_leeway_is_thirty_seconds_and_never_more_than_a_minute() {
    let issuer = Issuer::eddsa("k1");
    let keys = issuer.keys();
    let token = issuer.token(&claims());
    let at =
        |seconds| Verifier::new(config()).verify(&token, &keys, Timestamp::from_seconds(seconds));
    assert!(at(NOW - 30).is_ok());
    assert_eq!(at(NOW - 31), Err(TokenError::NotYetValid));
    assert!(at(NOW + 629).is_ok());
    assert_eq!(at(NOW + 630), Err(TokenError::Expired));

    let mut generous = config();
    generous.leeway = std::time::Duration::from_hours(1);
    let late = Timestamp::from_seconds(NOW + 660);
    assert_eq!(
        Verifier::new(generous).verify(&token, &keys, late),
        Err(TokenError::Expired)
    );
}

#[test]
fn what_is_not_three_canonical_segments_is_refused() {
    use TokenError::{Malformed, Signature, TooLarge};
    let issuer = Issuer::es256("k1");
    let keys = issuer.keys();
    let good = issuer.token(&claims());
    let [header, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token has three segments");
    };
    let cases = [
        (String::new(), Malformed),
        ("..".to_owned(), Malformed),
        (header.to_owned(), Malformed),
        (format!("{header}.{body}"), Malformed),
        (format!("{header}.{body}."), Malformed),
        (format!("{header}..{signature}"), Malformed),
        (format!(".{body}.{signature}"), Malformed),
        (format!("{good}."), Malformed),
        (format!(".{good}"), Malformed),
        (
            format!("{header}.{body}.{signature}.{signature}"),
            Malformed,
        ),
        // A JWE.
        (
            format!("{header}.{body}.{body}.{body}.{signature}"),
            Malformed,
        ),
        (format!("{header}.{body}.{signature}=="), Malformed),
        (format!("{header}=.{body}.{signature}"), Malformed),
        (format!(" {good}"), Malformed),
        (format!("{good}\n"), Malformed),
        (format!("{header}.{body}.{signature}\u{e9}"), Malformed),
        (format!("{header}.{body}.+{}", &signature[1..]), Malformed),
        (format!("{header}.{body}./{}", &signature[1..]), Malformed),
        (format!("{header}.{body}.{}", &signature[..85]), Malformed),
        // Canonical, and no signature of that length or value.
        (format!("{header}.{body}.{}", &signature[..84]), Signature),
        (format!("{header}.{body}.{signature}AAAA"), Signature),
        (format!("{header}.{body}.{}", encode([0; 64])), Signature),
        (format!("{header}.{body}.{}", encode([0xff; 64])), Signature),
        (format!("{good}{}", "A".repeat(MAX_TOKEN_BYTES)), TooLarge),
        // Tokens of other kinds.
        (
            format!("idr_abcdefghijklmnopqrstuvwx_{signature}"),
            Malformed,
        ),
        (
            format!("idc_abcdefghijklmnopqrstuvwx_{signature}"),
            Malformed,
        ),
        (
            json!({"protected": header, "payload": body, "signature": signature}).to_string(),
            Malformed,
        ),
        (format!("{}.{body}.{signature}", encode("[]")), Malformed),
        (format!("{}.{body}.{signature}", encode("x")), Malformed),
    ];
    assert!(verify(&good, &keys).is_ok());
    for (token, expected) in cases {
        assert_eq!(verify(&token, &keys), Err(expected), "{token}");
    }
}

#[test]
fn the_size_bound_is_exact() {
    let issuer = Issuer::eddsa("k1");
    let padded = |length: usize| {
        issuer.sign(
            &issuer.header().to_string(),
            &payload(&json!({"pad": "x".repeat(length)})),
        )
    };
    let length = (0..MAX_TOKEN_BYTES)
        .find(|length| padded(*length).len() > MAX_TOKEN_BYTES)
        .expect("some padding is too much");
    assert!(verify(&padded(length - 1), &issuer.keys()).is_ok());
    assert_eq!(
        verify(&padded(length), &issuer.keys()),
        Err(TokenError::TooLarge)
    );
}

#[test]
fn bits_that_are_left_over_must_be_zero() {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let issuer = Issuer::eddsa("k1");
    let good = issuer.token(&claims());
    // 64 bytes leave four bits over in the last of 86 characters.
    let (rest, last) = good.split_at(good.len() - 1);
    let value = ALPHABET
        .iter()
        .position(|letter| *letter == last.as_bytes()[0])
        .expect("is base64url");
    for extra in 1..16 {
        let other = char::from(ALPHABET[value + extra]);
        assert_eq!(
            verify(&format!("{rest}{other}"), &issuer.keys()),
            Err(TokenError::Malformed)
        );
    }
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    let issuer = Issuer::es256("k1");
    let keys = issuer.keys();
    let header = issuer.header().to_string();
    let good = payload(&json!({}));
    let twice = |object: &str, member: &str| format!("{},{member}}}", object.trim_end_matches('}'));
    for member in [r#""alg":"ES256""#, r#""kid":"k1""#, r#""typ":"at+jwt""#] {
        let token = issuer.sign(&twice(&header, member), &good);
        assert_eq!(
            verify(&token, &keys),
            Err(TokenError::Malformed),
            "{member}"
        );
    }
    for member in [
        r#""sub":"u1""#,
        r#""sub":"admin""#,
        r#""s\u0075b":"admin""#,
        r#""exp":1900000000"#,
        r#""x":1,"x":2"#,
        r#""x":{"y":1,"y":1}"#,
        r#""x":[{"y":1,"y":1}]"#,
    ] {
        let token = issuer.sign(&header, &twice(&good, member));
        assert_eq!(
            verify(&token, &keys),
            Err(TokenError::Malformed),
            "{member}"
        );
    }
}

#[test]
fn an_id_token_is_refused() {
    let issuer = Issuer::es256("k1");
    let id_token = json!({
        "iss": ISSUER, "sub": "u1", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW, "nonce": "n", "auth_time": NOW,
    });
    let mut header = issuer.header();
    merge(&mut header, &json!({"typ": "JWT"}));
    assert_eq!(
        verify(
            &issuer.sign(&header.to_string(), &id_token.to_string()),
            &issuer.keys()
        ),
        Err(TokenError::UnsupportedHeader("typ"))
    );
    // Also when somebody gets our type into its header.
    assert_eq!(
        verify(
            &issuer.sign(&issuer.header().to_string(), &id_token.to_string()),
            &issuer.keys()
        ),
        Err(TokenError::Claims("jti"))
    );
}

#[test]
fn a_key_with_the_same_kid_from_elsewhere_does_not_pass() {
    let ours = Issuer::es256("k1");
    let theirs = Issuer::es256("k1");
    assert_eq!(
        verify(&theirs.token(&claims()), &ours.keys()),
        Err(TokenError::Signature)
    );
    // The public key as the secret of a symmetric algorithm, and the algorithm of another key in the set.
    let other = Issuer::eddsa("k2");
    let keys = KeySet::new([ours.key(), other.key()]);
    let token = ours.sign(&other.header().to_string(), &payload(&json!({})));
    assert_eq!(verify(&token, &keys), Err(TokenError::Signature));
}

#[test]
fn claims_are_looked_at_only_after_the_signature() {
    let issuer = Issuer::es256("k1");
    let expired = issuer.sign(&issuer.header().to_string(), &payload(&json!({"exp": 1})));
    let (signed, _) = expired.rsplit_once('.').expect("has a signature");
    let forged = format!("{signed}.{}", encode([1; 64]));
    assert_eq!(verify(&forged, &issuer.keys()), Err(TokenError::Signature));
}

#[test]
fn a_public_key_of_another_shape_is_refused() {
    let es256 = Issuer::es256("k1").jwk();
    let eddsa = Issuer::eddsa("k1").jwk();
    let rs256 = Issuer::rs256("k1").jwk();
    let cases = [
        (&es256, json!({"kid": null}), KeyError::Member("kid")),
        (
            &es256,
            json!({"kid": "k".repeat(129)}),
            KeyError::Member("kid"),
        ),
        (&es256, json!({"alg": null}), KeyError::Member("alg")),
        (&es256, json!({"alg": "HS256"}), KeyError::Member("alg")),
        (&es256, json!({"alg": "EdDSA"}), KeyError::Member("kty")),
        (&es256, json!({"use": "enc"}), KeyError::Member("use")),
        (&es256, json!({"crv": "P-384"}), KeyError::Member("crv")),
        (&es256, json!({"x": "AA"}), KeyError::Member("x")),
        (&es256, json!({"y": encode([1; 32])}), KeyError::Numbers),
        (&es256, json!({"d": "AA"}), KeyError::Private),
        (&eddsa, json!({"crv": "X25519"}), KeyError::Member("crv")),
        (&eddsa, json!({"x": encode([1; 31])}), KeyError::Member("x")),
        (
            &eddsa,
            json!({"x": format!("{}=", encode([1; 32]))}),
            KeyError::Member("x"),
        ),
        (&rs256, json!({"n": encode([0xff; 128])}), KeyError::Numbers),
        (&rs256, json!({"n": encode([0; 256])}), KeyError::Numbers),
        (&rs256, json!({"n": ""}), KeyError::Numbers),
        (&rs256, json!({"e": encode([2])}), KeyError::Numbers),
        (&rs256, json!({"p": "AA"}), KeyError::Private),
    ];
    for (jwk, changes, expected) in cases {
        let mut jwk = jwk.clone();
        merge(&mut jwk, &changes);
        let error = VerifyingKey::from_jwk_json(&jwk.to_string()).expect_err("is refused");
        assert_eq!(error, expected, "{changes}");
    }
    assert_eq!(
        VerifyingKey::from_jwk_json("[]").err(),
        Some(KeyError::Malformed)
    );
    let key = VerifyingKey::from_jwk_json(&es256.to_string()).expect("is good");
    assert_eq!(
        (key.kid(), key.algorithm()),
        ("k1", SignatureAlgorithm::Es256)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_token_with_any_byte_changed_never_verifies(position in any::<prop::sample::Index>(), byte in 1u8..128) {
        thread_local! {
            static TOKENS: Vec<(String, KeySet)> = [Issuer::es256("k1"), Issuer::eddsa("k1")]
                .map(|issuer| (issuer.token(&claims()), issuer.keys()))
                .into();
        }
        TOKENS.with(|tokens| {
            for (token, keys) in tokens {
                let mut bytes = token.clone().into_bytes();
                let at = position.index(bytes.len());
                bytes[at] = (bytes[at] ^ byte) & 0x7f;
                let mutated = String::from_utf8(bytes).expect("stays ASCII");
                assert_ne!(&mutated, token);
                assert!(verify(&mutated, keys).is_err(), "{mutated}");
            }
        });
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in ".{0,200}|[A-Za-z0-9_-]{1,80}(\\.[A-Za-z0-9_=-]{0,80}){0,5}") {
        prop_assert!(verify(&text, &KeySet::default()).is_err());
    }

    #[test]
    fn claims_come_back_as_they_were_minted(
        texts in prop::collection::vec("\\PC{1,20}", 6),
        roles in prop::collection::vec("\\PC{0,20}", 0..4),
        acr in prop::option::of("\\PC{0,10}"),
        numbers in any::<[i64; 3]>(),
        counters in any::<[u64; 2]>(),
    ) {
        let minted = AccessClaims {
            iss: texts[0].clone(),
            sub: texts[1].clone(),
            aud: vec![texts[2].clone()],
            exp: numbers[0],
            iat: numbers[1],
            jti: texts[3].clone(),
            sid: texts[4].clone(),
            client_id: texts[5].clone(),
            perms: roles.clone(),
            roles: roles.clone(),
            generation: counters[0],
            upos_epoch: texts[0].clone(),
            upos_revision: counters[1],
            amr: roles,
            auth_time: numbers[2],
            acr,
        };
        let json = serde_json::to_vec(&minted).expect("serialises");
        prop_assert_eq!(AccessClaims::from_json(&json), Ok(minted));
    }
}
