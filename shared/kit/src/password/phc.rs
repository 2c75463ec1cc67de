//! Stored hashes: one canonical text for each scheme, in the manner of PHC strings, written and read in that form alone.
//!
//! | scheme | text |
//! |---|---|
//! | ours | `$argon2id$v=19$m=…,t=…,p=…$salt$hash` |
//! | Argon2 of what was typed | `$argon2id-typed$v=…$m=…,t=…,p=…$salt$hash`, `$argon2i$…` |
//! | bcrypt | `$bcrypt$r=…$salt$hash`, `$bcrypt-sha256hex$…` |
//! | scrypt | `$scrypt$ln=…,r=…,p=…$salt$hash` |
//! | Firebase's scrypt | `$firebase-scrypt$ln=…,r=…,sep=…,key=…$salt$hash` |
//! | PBKDF2 | `$pbkdf2-sha1$i=…$salt$hash`, `$pbkdf2-sha256$…`, `$pbkdf2-sha512$…` |
//! | salted digests | `$ssha$salt$hash`, `$ssha256$…`, `$ssha512$…` |
//!
//! Bytes are base64 of RFC 4648 without padding. The name says all that verifying needs; `argon2id` alone is the name
//! of what this module makes, so that every other one is known to come from elsewhere.

use argon2::{Algorithm, Version};

use super::{
    policy::PasswordPolicy,
    scheme::{Digest, HashProblem, Scheme, ScryptCost},
};

mod parts;

use parts::{base64, bytes};
pub(super) use parts::{number, parameters};

/// Bytes of a new salt.
pub(super) const SALT_BYTES: usize = 16;
/// Bytes of a new hash.
pub(super) const OUTPUT_BYTES: usize = 32;
/// The longest string that is read at all.
const MAX_TEXT: usize = 512;

/// A hash that may be computed: its cost and its lengths are within the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredHash {
    pub(super) scheme: Scheme,
    pub(super) salt: Vec<u8>,
    pub(super) output: Vec<u8>,
}

impl StoredHash {
    /// A hash from its parts, when it may be computed.
    pub(super) fn checked(
        scheme: Scheme,
        salt: Vec<u8>,
        output: Vec<u8>,
    ) -> Result<Self, HashProblem> {
        scheme.check(salt.len(), output.len())?;
        Ok(Self {
            scheme,
            salt,
            output,
        })
    }

    /// Reads a string in the one form that [`Self::encode`] writes: this order, no leading zeros, no padding, a cost
    /// within the bounds. The error repeats nothing of the string.
    pub(super) fn parse(text: &str) -> Result<Self, HashProblem> {
        if text.len() > MAX_TEXT {
            return Err(HashProblem::Malformed("longer than 512 characters"));
        }
        let parts: Vec<_> = text.split('$').collect();
        let ["", parts @ .., salt, output] = parts.as_slice() else {
            return Err(HashProblem::Unknown);
        };
        Self::checked(scheme(parts)?, bytes(salt)?, bytes(output)?)
    }

    /// The string to store.
    pub(super) fn encode(&self) -> String {
        let name = name(&self.scheme);
        let parameters = match &self.scheme {
            Scheme::Own(cost) => format!("v=19${}", argon2(*cost)),
            Scheme::Argon2 { version, cost, .. } => {
                format!("v={}${}", u32::from(*version), argon2(*cost))
            }
            Scheme::Bcrypt { cost, .. } => format!("r={cost}"),
            Scheme::Scrypt(ScryptCost { log_n, r, p }) => format!("ln={log_n},r={r},p={p}"),
            Scheme::Firebase {
                cost,
                separator,
                signer_key,
            } => {
                let ScryptCost { log_n, r, .. } = cost;
                let [separator, key] = [separator, signer_key].map(|bytes| base64(bytes));
                format!("ln={log_n},r={r},sep={separator},key={key}")
            }
            Scheme::Pbkdf2 { iterations, .. } => format!("i={iterations}"),
            Scheme::Salted(_) => String::new(),
        };
        let [salt, output] = [&self.salt, &self.output].map(|bytes| base64(bytes));
        let parameters = if parameters.is_empty() {
            parameters
        } else {
            format!("${parameters}")
        };
        format!("${name}{parameters}${salt}${output}")
    }

    /// Whether the next proof of the password should replace it: it comes from elsewhere, or does not cost what the
    /// policy says, or its salt or output is shorter than ours.
    pub(super) fn differs_from(&self, policy: PasswordPolicy) -> bool {
        self.scheme != Scheme::Own(policy)
            || self.salt.len() < SALT_BYTES
            || self.output.len() < OUTPUT_BYTES
    }
}

/// The name under which a scheme is stored.
fn name(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Own(_) => "argon2id",
        Scheme::Argon2 { algorithm, .. } => match algorithm {
            Algorithm::Argon2i => "argon2i",
            // Argon2d is never read.
            Algorithm::Argon2id | Algorithm::Argon2d => "argon2id-typed",
        },
        Scheme::Bcrypt {
            of_digest: false, ..
        } => "bcrypt",
        Scheme::Bcrypt {
            of_digest: true, ..
        } => "bcrypt-sha256hex",
        Scheme::Scrypt(_) => "scrypt",
        Scheme::Firebase { .. } => "firebase-scrypt",
        Scheme::Pbkdf2 { digest, .. } => match digest {
            Digest::Sha1 => "pbkdf2-sha1",
            Digest::Sha256 => "pbkdf2-sha256",
            Digest::Sha512 => "pbkdf2-sha512",
        },
        Scheme::Salted(digest) => match digest {
            Digest::Sha1 => "ssha",
            Digest::Sha256 => "ssha256",
            Digest::Sha512 => "ssha512",
        },
    }
}

/// The scheme of what stands before salt and output.
fn scheme(parts: &[&str]) -> Result<Scheme, HashProblem> {
    Ok(match *parts {
        ["argon2id", "v=19", cost] => Scheme::Own(argon2_cost(cost)?),
        ["argon2id-typed", version, cost] => typed(Algorithm::Argon2id, version, cost)?,
        ["argon2i", version, cost] => typed(Algorithm::Argon2i, version, cost)?,
        ["bcrypt", cost] => bcrypt(cost, false)?,
        ["bcrypt-sha256hex", cost] => bcrypt(cost, true)?,
        ["scrypt", cost] => {
            let [log_n, r, p] = parameters(cost, ["ln=", "r=", "p="])?;
            Scheme::Scrypt(ScryptCost {
                log_n: number(log_n)?,
                r: number(r)?,
                p: number(p)?,
            })
        }
        ["firebase-scrypt", cost] => {
            let [log_n, r, separator, key] = parameters(cost, ["ln=", "r=", "sep=", "key="])?;
            Scheme::Firebase {
                cost: ScryptCost {
                    log_n: number(log_n)?,
                    r: number(r)?,
                    p: 1,
                },
                separator: bytes(separator)?,
                signer_key: bytes(key)?,
            }
        }
        ["pbkdf2-sha1", cost] => pbkdf2(Digest::Sha1, cost)?,
        ["pbkdf2-sha256", cost] => pbkdf2(Digest::Sha256, cost)?,
        ["pbkdf2-sha512", cost] => pbkdf2(Digest::Sha512, cost)?,
        ["ssha"] => Scheme::Salted(Digest::Sha1),
        ["ssha256"] => Scheme::Salted(Digest::Sha256),
        ["ssha512"] => Scheme::Salted(Digest::Sha512),
        _ => return Err(HashProblem::Unknown),
    })
}

fn argon2(cost: PasswordPolicy) -> String {
    let PasswordPolicy { m_kib, t, p } = cost;
    format!("m={m_kib},t={t},p={p}")
}

/// Reads `m=…,t=…,p=…`.
pub(super) fn argon2_cost(text: &str) -> Result<PasswordPolicy, HashProblem> {
    let [m_kib, t, p] = parameters(text, ["m=", "t=", "p="])?;
    Ok(PasswordPolicy {
        m_kib: number(m_kib)?,
        t: number(t)?,
        p: number(p)?,
    })
}

/// Argon2 of what was typed.
pub(super) fn typed(
    algorithm: Algorithm,
    version: &str,
    cost: &str,
) -> Result<Scheme, HashProblem> {
    let version = match version {
        "v=16" => Version::V0x10,
        "v=19" => Version::V0x13,
        _ => return Err(HashProblem::Malformed("Argon2 has the versions 16 and 19")),
    };
    Ok(Scheme::Argon2 {
        algorithm,
        version,
        cost: argon2_cost(cost)?,
    })
}

fn bcrypt(cost: &str, of_digest: bool) -> Result<Scheme, HashProblem> {
    let [cost] = parameters(cost, ["r="])?;
    Ok(Scheme::Bcrypt {
        cost: number(cost)?,
        of_digest,
    })
}

fn pbkdf2(digest: Digest, cost: &str) -> Result<Scheme, HashProblem> {
    let [iterations] = parameters(cost, ["i="])?;
    Ok(Scheme::Pbkdf2 {
        digest,
        iterations: number(iterations)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn a_string_reads_back_as_it_was_written() {
        let hash = StoredHash::parse(GOOD).unwrap();
        assert_eq!(hash.salt, b"somesalt");
        assert_eq!(hash.encode(), GOOD);
    }

    #[test]
    fn every_scheme_has_one_text() {
        const COST: PasswordPolicy = PasswordPolicy {
            m_kib: 64,
            t: 3,
            p: 2,
        };
        const SCRYPT: ScryptCost = ScryptCost {
            log_n: 14,
            r: 8,
            p: 1,
        };
        let argon2 = |algorithm, version| Scheme::Argon2 {
            algorithm,
            version,
            cost: COST,
        };
        let firebase = |separator: &[u8]| Scheme::Firebase {
            cost: SCRYPT,
            separator: separator.to_vec(),
            signer_key: vec![9; 64],
        };
        let bcrypt = |of_digest| Scheme::Bcrypt {
            cost: 12,
            of_digest,
        };
        let pbkdf2 = |digest| Scheme::Pbkdf2 {
            digest,
            iterations: 1_000,
        };
        for (scheme, output, start) in [
            (Scheme::Own(COST), 32, "$argon2id$v=19$m=64,t=3,p=2$"),
            (
                argon2(Algorithm::Argon2id, Version::V0x10),
                32,
                "$argon2id-typed$v=16$m=64,t=3,p=2$",
            ),
            (
                argon2(Algorithm::Argon2i, Version::V0x13),
                64,
                "$argon2i$v=19$m=64,t=3,p=2$",
            ),
            (bcrypt(false), 23, "$bcrypt$r=12$"),
            (bcrypt(true), 23, "$bcrypt-sha256hex$r=12$"),
            (Scheme::Scrypt(SCRYPT), 32, "$scrypt$ln=14,r=8,p=1$"),
            (
                firebase(&[7]),
                64,
                "$firebase-scrypt$ln=14,r=8,sep=Bw,key=CQkJ",
            ),
            (
                firebase(&[]),
                64,
                "$firebase-scrypt$ln=14,r=8,sep=,key=CQkJ",
            ),
            (pbkdf2(Digest::Sha1), 20, "$pbkdf2-sha1$i=1000$"),
            (pbkdf2(Digest::Sha256), 32, "$pbkdf2-sha256$i=1000$"),
            (pbkdf2(Digest::Sha512), 64, "$pbkdf2-sha512$i=1000$"),
            (Scheme::Salted(Digest::Sha1), 20, "$ssha$AQ"),
            (Scheme::Salted(Digest::Sha256), 32, "$ssha256$AQ"),
            (Scheme::Salted(Digest::Sha512), 64, "$ssha512$AQ"),
        ] {
            let hash = StoredHash::checked(scheme, vec![1; 16], vec![2; output]).unwrap();
            let text = hash.encode();
            assert!(text.starts_with(start), "{text}");
            assert_eq!(StoredHash::parse(&text), Ok(hash));
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for (from, to) in [
            ("argon2id", "argon2"),
            ("argon2id", "argon2d"),
            ("argon2id", "ARGON2ID"),
            ("v=19", "v=16"),
            ("v=19$", ""),
            ("m=65536", "m=065536"),
            ("m=65536", "m=+65536"),
            ("m=65536", "m=262145"),
            ("m=65536", "m=7"),
            ("m=65536", "m=99999999999"),
            ("m=65536", "m="),
            ("t=2", "t=0"),
            ("t=2", "t=11"),
            ("p=1", "p=17"),
            ("p=1", "p=0"),
            ("p=1", "p=1,data=AAAA"),
            ("m=65536,t=2", "t=2,m=65536"),
            ("c29tZXNhbHQ", ""),
            ("c29tZXNhbHQ", "c29tZXNhbHQ="),
            ("c29tZXNhbHQ", "c29tZXNhbHR"),
            ("c29tZXNhbHQ", "c29tZQ"),
            ("GRPPc", "GRPP"),
            ("GRPPc", "GRPPc$"),
            ("GRPPc", "GRPPc\n"),
            ("$argon2id", "argon2id"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            assert!(StoredHash::parse(&text).is_err(), "{text}");
        }
        assert!(StoredHash::parse("").is_err());
        assert!(StoredHash::parse(&"$".repeat(10_000)).is_err());
        assert!(StoredHash::parse(&"$".repeat(400)).is_err());
    }

    #[test]
    fn another_cost_or_a_short_salt_or_another_scheme_asks_for_a_new_hash() {
        let policy = PasswordPolicy::default();
        let hash = |scheme, salt: usize| StoredHash {
            scheme,
            salt: vec![0; salt],
            output: vec![0; OUTPUT_BYTES],
        };
        assert!(!hash(Scheme::Own(policy), SALT_BYTES).differs_from(policy));
        assert!(hash(Scheme::Own(policy), SALT_BYTES - 1).differs_from(policy));
        let dearer = PasswordPolicy { t: 3, ..policy };
        assert!(hash(Scheme::Own(dearer), SALT_BYTES).differs_from(policy));
        let typed = Scheme::Argon2 {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            cost: policy,
        };
        assert!(hash(typed, SALT_BYTES).differs_from(policy));
    }
}
