//! Hashes that other programs made, and texts that nobody made.

use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{
    password::{HashError, HashPool, PasswordPolicy, Verification, candidate},
    testing::SeededEntropy,
};

/// Made once by `deploy/e2e/clients/foreign_hashes.py`, by libxcrypt, and as published; each line says which.
const VECTORS: &str = include_str!("vectors.jsonl");
const TINY: PasswordPolicy = PasswordPolicy {
    m_kib: 64,
    t: 2,
    p: 1,
};

#[derive(Deserialize)]
struct Vector {
    form: String,
    password: String,
    hash: String,
}

fn vectors() -> Vec<Vector> {
    VECTORS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// With room for so many who wait.
fn pool(queue: usize) -> HashPool {
    HashPool::new(1, queue, TINY, Arc::new(SeededEntropy::new(7))).unwrap()
}

#[tokio::test]
async fn what_other_programs_made_verifies_with_its_password_and_no_other() {
    let pool = pool(8);
    let vectors = vectors();
    assert!(vectors.len() > 70, "{}", vectors.len());
    for Vector {
        form,
        password,
        hash,
    } in vectors
    {
        let stored = import_hash(&hash).unwrap_or_else(|problem| panic!("{form}: it {problem}"));
        assert!(stored.len() <= 512 && stored.starts_with('$'), "{stored}");
        assert!(stored.bytes().all(|byte| byte.is_ascii_graphic()));
        let other = format!("X{password}");
        for (typed, matches) in [(&password, true), (&other, false)] {
            let answer = pool.verify(candidate(typed), stored.clone(), None).await;
            let needs_rehash = true;
            let expected = Verification {
                matches,
                needs_rehash,
            };
            assert_eq!(answer, Ok(expected), "{form} with {typed:?}");
        }
    }
}

#[tokio::test]
async fn what_was_proven_is_hashed_again_as_ours_also_when_it_is_short() {
    let pool = pool(8);
    let stored = import_hash("{SSHA}iGwo6JnfnM9YZ+6uHGSqMh62Q5ZzYWx0").unwrap();
    assert!(stored.starts_with("$ssha$"), "{stored}");
    let typed = candidate("cafe\u{301}");
    let ours = pool.hash_proven(&typed, None).await.unwrap();
    for same in ["cafe\u{301}", "café"] {
        let answer = pool.verify(candidate(same), ours.clone(), None).await;
        let expected = Verification {
            matches: true,
            needs_rehash: false,
        };
        assert_eq!(answer, Ok(expected));
    }
    let too_long = candidate(&"x".repeat(1025));
    let refused = pool.hash_proven(&too_long, None).await;
    assert!(matches!(refused, Err(HashError::Unusable(_))));
}

#[test]
fn a_hash_that_would_cost_too_much_is_refused() {
    let body = "abcdefghijklmnopqrstuuRp2CR13c9jo/bq2iIJmF9CxsC1jOmd.";
    let ssha = "AAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let key = "A".repeat(44);
    let firebase = |rounds: &str, memory: &str| {
        format!(
            r#"{{"passwordHash":"{key}","salt":"AAAAAAAA","signerKey":"{key}","saltSeparator":"Bw==","rounds":{rounds},"memCost":{memory}}}"#
        )
    };
    for text in [
        format!("$2b$16${body}"),
        format!("$2b$31${body}"),
        format!("$2b$03${body}"),
        format!("bcrypt$$2b$20${body}"),
        format!("$argon2id$v=19$m=262145,t=1,p=1$AAAAAAAAAAA${ssha}"),
        format!("$argon2i$v=16$m=64,t=11,p=1$AAAAAAAAAAA${ssha}"),
        format!("argon2$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAA${ssha}"),
        format!("$pbkdf2-sha256$10000001$AAAAAAAAAAA${ssha}"),
        format!("pbkdf2_sha256$4294967295$somesalt${ssha}"),
        format!("$scrypt$ln=18,r=8,p=1$AAAAAAAAAAA${ssha}"),
        format!("$scrypt$ln=10,r=8,p=4294967295$AAAAAAAAAAA${ssha}"),
        format!("scrypt$262144$somesalt$8$1${ssha}"),
        "$7$zzzzzzzzzzzSodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D".to_owned(),
        firebase("8", "18"),
        firebase("4294967295", "14"),
    ] {
        let refused = import_hash(&text);
        assert!(
            matches!(refused, Err(HashProblem::TooCostly(_))),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn what_is_in_no_form_is_refused() {
    for text in [
        "",
        "hunter2",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$2x$06$abcdefghijklmnopqrstuuRp2CR13c9jo/bq2iIJmF9CxsC1jOmd.",
        "$2$06$abcdefghijklmnopqrstuuRp2CR13c9jo/bq2iIJmF9CxsC1jOmd.",
        "$argon2d$v=19$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "{CRYPT}x",
        "{SSHA",
        "{}",
        "{\"a\":1}",
        "md5$salt$abc",
        "sha1$salt$abc",
        "!",
    ] {
        assert_eq!(import_hash(text), Err(HashProblem::Unknown), "{text}");
    }
}

#[test]
fn what_is_malformed_is_refused() {
    let body = "abcdefghijklmnopqrstuuRp2CR13c9jo/bq2iIJmF9CxsC1jOmd.";
    for text in [
        "{SSHA}".to_owned(),
        "{SSHA}AAAA".to_owned(),
        // A digest without a salt.
        "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".to_owned(),
        "{SSHA}\u{e9}".to_owned(),
        format!("$2b$6${body}"),
        format!("$2b$+6${body}"),
        format!("$2b$06${}", &body[1..]),
        format!("$2b$06${body}A"),
        format!("$2b$06${}", body.replace('a', "\u{e9}")),
        "bcrypt$hunter2".to_owned(),
        "pbkdf2_sha256$1000$somesalt".to_owned(),
        "pbkdf2_sha256$01000$somesalt$AAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "pbkdf2_sha256$1000$sal$AAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "$pbkdf2-sha256$i=1000,l=21$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "scrypt$1000$somesalt$8$1$AAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "$7$C6....$AA".to_owned(),
        "$7$C6..../....SodiumChloride$AA".to_owned(),
        "$argon2id$v=20$m=64,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        r#"{"credentialData":"{}","secretData":"{}"}"#.to_owned(),
        "x".repeat(4097),
    ] {
        let refused = import_hash(&text);
        assert!(
            matches!(refused, Err(HashProblem::Malformed(_))),
            "{text}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_text_that_is_no_stored_hash_is_never_computed() {
    // There is no room in the queue, so that anything which asked for work would be told to come back.
    let pool = pool(0);
    let forms = vectors().into_iter().map(|vector| vector.hash);
    let costly = [
        "$bcrypt$r=31$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAgICAgICAgI",
        "$scrypt$ln=30,r=8,p=1$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAg",
        "$pbkdf2-sha256$i=4294967295$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAg",
        "$argon2id-typed$v=16$m=4194304,t=1,p=1$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAg",
        "$firebase-scrypt$ln=60,r=8,sep=Bw,key=AgICAgICAgICAgICAgICAg$AQEBAQ$AgICAgICAgICAgICAgICAg",
        "",
        "hunter2",
    ];
    let stored_alike = |text: &String| StoredHash::parse(text).is_err();
    for text in forms.filter(stored_alike).chain(costly.map(str::to_owned)) {
        let answer = pool.verify(candidate("x"), text.clone(), None).await;
        assert!(
            matches!(answer, Err(HashError::Unusable(_))),
            "{text}: {answer:?}"
        );
    }
}

/// What is taken is within every bound, and stored in a text that reads back as the same.
fn judge(text: &str) {
    if let Ok(stored) = import_hash(text) {
        let hash = StoredHash::parse(&stored).unwrap();
        assert_eq!(hash.encode(), stored, "{text}");
        assert_eq!(
            hash.scheme.check(hash.salt.len(), hash.output.len()),
            Ok(())
        );
    }
    if let Ok(hash) = StoredHash::parse(text) {
        assert_eq!(hash.encode(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        judge(&text);
    }

    #[test]
    fn nothing_that_looks_like_a_hash_makes_the_reader_panic(
        text in r#"(\$(2[aby]|7|argon2i|argon2id|scrypt|pbkdf2-sha256|bcrypt)\$|pbkdf2_sha256\$|scrypt\$|\{SSHA\}|\{")[$,=./A-Za-z0-9+:"\{\}é-]{0,120}"#
    ) {
        judge(&text);
    }

    #[test]
    fn a_damaged_hash_is_refused_or_read_within_the_bounds(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        put in any::<char>(),
        kind in 0..4,
    ) {
        let vectors = vectors();
        let mut text: Vec<char> = which.get(&vectors).hash.chars().collect();
        let place = at.index(text.len());
        match kind {
            0 => text[place] = put,
            1 => text.insert(place, put),
            2 => drop(text.remove(place)),
            _ => text.truncate(place),
        }
        judge(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_number_of_any_size_is_within_the_bounds_or_refused(number in any::<u64>(), small in 0_u64..64) {
        let ends = "$somesaltsomesalt$AAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for number in [number, small] {
            for start in ["$pbkdf2-sha256$", "pbkdf2_sha1$", "$scrypt$r=8,p=1,ln=", "$argon2i$v=19$t=1,p=1,m="] {
                judge(&format!("{start}{number}{ends}"));
            }
            judge(&format!("$scrypt$ln={number},r={small},p={number}{ends}"));
            judge(&format!("$argon2i$v=19$m={number},t={small},p={number}{ends}"));
            judge(&format!("scrypt${number}$somesalt${small}${number}$AAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        }
    }
}
