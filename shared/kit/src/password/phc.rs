//! PHC strings of Argon2id, written and read in one exact form.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::policy::PasswordPolicy;

/// Bytes of a new salt.
pub(super) const SALT_BYTES: usize = 16;
/// Bytes of a new hash.
pub(super) const OUTPUT_BYTES: usize = 32;
/// The longest string that is read at all.
const MAX_TEXT: usize = 256;

/// A stored hash: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredHash {
    /// What it cost.
    pub(super) cost: PasswordPolicy,
    /// 8 to 64 bytes.
    pub(super) salt: Vec<u8>,
    /// 16 to 64 bytes.
    pub(super) output: Vec<u8>,
}

impl StoredHash {
    /// Reads a string in the one form that [`Self::encode`] writes: this order, no leading zeros, no padding, a cost
    /// within the bounds. The error says what is wrong and repeats nothing of the string.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_TEXT {
            return Err("longer than 256 characters");
        }
        let rest = text
            .strip_prefix("$argon2id$v=19$")
            .ok_or("not argon2id of version 19")?;
        let [cost, salt, output]: [&str; 3] = rest
            .split('$')
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| "not of three parts")?;
        let [m_kib, t, p]: [&str; 3] = cost
            .split(',')
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| "not of three parameters")?;
        let cost = PasswordPolicy {
            m_kib: parameter(m_kib, "m=")?,
            t: parameter(t, "t=")?,
            p: parameter(p, "p=")?,
        };
        cost.params()
            .map_err(|_| "declares a cost that is never computed")?;
        Ok(Self {
            cost,
            salt: bytes(salt, 8..=64)?,
            output: bytes(output, 16..=64)?,
        })
    }

    /// The string to store.
    pub(super) fn encode(&self) -> String {
        let PasswordPolicy { m_kib, t, p } = self.cost;
        let salt = STANDARD_NO_PAD.encode(&self.salt);
        let output = STANDARD_NO_PAD.encode(&self.output);
        format!("$argon2id$v=19$m={m_kib},t={t},p={p}${salt}${output}")
    }

    /// Whether the next proof of the password should replace it: it does not cost what the policy says, or its salt
    /// or output is shorter than ours.
    pub(super) fn differs_from(&self, policy: PasswordPolicy) -> bool {
        self.cost != policy || self.salt.len() < SALT_BYTES || self.output.len() < OUTPUT_BYTES
    }
}

/// A decimal without sign and leading zeros, behind its name.
fn parameter(text: &str, name: &str) -> Result<u32, &'static str> {
    let digits = text
        .strip_prefix(name)
        .ok_or("parameters are not m, t and p")?;
    let canonical = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(value) if canonical => Ok(value),
        _ => Err("a parameter is not a plain number"),
    }
}

/// Base64 without padding and stray bits, of a length within the range.
fn bytes(text: &str, range: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, &'static str> {
    let bytes = STANDARD_NO_PAD
        .decode(text)
        .map_err(|_| "salt or hash is not canonical base64")?;
    if range.contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err("salt or hash is too short or too long")
    }
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
    fn every_other_spelling_is_refused() {
        for (from, to) in [
            ("argon2id", "argon2i"),
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
    }

    #[test]
    fn another_cost_or_a_short_salt_asks_for_a_new_hash() {
        let mut hash = StoredHash {
            cost: PasswordPolicy::default(),
            salt: vec![0; SALT_BYTES],
            output: vec![0; OUTPUT_BYTES],
        };
        assert!(!hash.differs_from(PasswordPolicy::default()));
        hash.salt.pop();
        assert!(hash.differs_from(PasswordPolicy::default()));
        hash.salt.push(0);
        hash.cost.t += 1;
        assert!(hash.differs_from(PasswordPolicy::default()));
    }
}
