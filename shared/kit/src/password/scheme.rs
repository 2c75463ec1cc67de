//! The schemes of stored hashes, and the bounds of what is ever computed for one.

use argon2::{Algorithm, Version};
use aws_lc_rs::{digest, pbkdf2};
use thiserror::Error;

use super::policy::PasswordPolicy;

/// Bytes of any salt.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 4..=64;
/// Bytes of the salt of an Argon2 hash, which takes no shorter one.
const ARGON2_SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
/// Bytes of any output: with fewer, a guess that is wrong could match.
const OUTPUT_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Bytes of the salt of bcrypt.
pub(super) const BCRYPT_SALT_BYTES: usize = 16;
/// Bytes of the output of bcrypt that are stored: the last of its 24 has been left away since the first program.
pub(super) const BCRYPT_OUTPUT_BYTES: usize = 23;
/// The logarithms of the rounds of bcrypt: each is twice the work of the one before.
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=15;
/// The most rounds of HMAC for one password, over all blocks of the output.
const MAX_PBKDF2_ROUNDS: u64 = 10_000_000;
/// The logarithms of the N of scrypt.
const SCRYPT_LOG_N: std::ops::RangeInclusive<u8> = 1..=17;
/// The block sizes of scrypt.
const SCRYPT_R: std::ops::RangeInclusive<u32> = 1..=32;
/// The lanes of scrypt.
const SCRYPT_P: std::ops::RangeInclusive<u32> = 1..=16;
/// The most memory of scrypt, as N times r: 128 MiB.
const MAX_SCRYPT_MEMORY: u64 = 1 << 20;
/// The most work of scrypt, as N times r times p: that of four times this memory.
const MAX_SCRYPT_WORK: u64 = 1 << 22;
/// The longest salt separator of Firebase, in bytes.
const MAX_SEPARATOR_BYTES: usize = 16;

/// Why a text is no hash that is verified here. It repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashProblem {
    /// None of the forms that are read.
    #[error("is in no form that is known here")]
    Unknown,
    /// One of the forms, and not as its document has it.
    #[error("is malformed: {0}")]
    Malformed(&'static str),
    /// It asks for more work or memory than is ever given to one password.
    #[error("would cost too much to verify: {0}")]
    TooCostly(&'static str),
}

/// A digest, of which the name says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    /// SHA-1 is broken where two texts may be chosen; nobody finds a password by that, and old hashes are made of it.
    pub(super) fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    pub(super) const fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    pub(super) fn bytes(self) -> usize {
        self.algorithm().output_len()
    }
}

/// What scrypt costs, by the names of RFC 7914.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScryptCost {
    pub(super) log_n: u8,
    pub(super) r: u32,
    pub(super) p: u32,
}

/// How an output is made of a password and a salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Ours: Argon2id of version 19, of the password in normal form C.
    Own(PasswordPolicy),
    /// Argon2 of what was typed (RFC 9106, and version 16 before it).
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        cost: PasswordPolicy,
    },
    /// bcrypt of the first 72 bytes; `of_digest` when of the SHA-256 in hexadecimal, as Django does.
    Bcrypt { cost: u32, of_digest: bool },
    /// scrypt (RFC 7914).
    Scrypt(ScryptCost),
    /// Firebase's scrypt: the key that it gives encrypts the signer key of the project.
    Firebase {
        cost: ScryptCost,
        separator: Vec<u8>,
        signer_key: Vec<u8>,
    },
    /// PBKDF2 (RFC 8018) with HMAC.
    Pbkdf2 { digest: Digest, iterations: u32 },
    /// One digest of the password and the salt behind it, as LDAP directories keep it.
    Salted(Digest),
}

impl Scheme {
    /// Passes when a hash of this scheme, with a salt and an output of so many bytes, may be computed.
    pub(super) fn check(&self, salt: usize, output: usize) -> Result<(), HashProblem> {
        let salts = match self {
            Self::Own(_) | Self::Argon2 { .. } => ARGON2_SALT_BYTES,
            Self::Bcrypt { .. } => BCRYPT_SALT_BYTES..=BCRYPT_SALT_BYTES,
            Self::Scrypt(_) | Self::Firebase { .. } | Self::Pbkdf2 { .. } | Self::Salted(_) => {
                SALT_BYTES
            }
        };
        let outputs = match self {
            Self::Bcrypt { .. } => BCRYPT_OUTPUT_BYTES..=BCRYPT_OUTPUT_BYTES,
            Self::Salted(digest) => digest.bytes()..=digest.bytes(),
            // A stream cipher: what comes out is as long as what goes in.
            Self::Firebase { signer_key, .. } => signer_key.len()..=signer_key.len(),
            Self::Own(_) | Self::Argon2 { .. } | Self::Scrypt(_) | Self::Pbkdf2 { .. } => {
                OUTPUT_BYTES
            }
        };
        if !salts.contains(&salt) {
            return Err(HashProblem::Malformed("the salt is too short or too long"));
        }
        if !outputs.contains(&output) || !OUTPUT_BYTES.contains(&output) {
            return Err(HashProblem::Malformed("the hash is too short or too long"));
        }
        self.check_cost(output)
    }

    fn check_cost(&self, output: usize) -> Result<(), HashProblem> {
        match self {
            Self::Own(cost) | Self::Argon2 { cost, .. } => cost.params().map(drop).map_err(|_| {
                HashProblem::TooCostly("Argon2 of at most 262144 KiB, 10 passes and 16 lanes")
            }),
            Self::Bcrypt { cost, .. } if BCRYPT_COST.contains(cost) => Ok(()),
            Self::Bcrypt { .. } => Err(HashProblem::TooCostly("bcrypt of cost 4 to 15")),
            Self::Scrypt(cost) => cost.check(),
            Self::Firebase {
                cost, separator, ..
            } => {
                if separator.len() > MAX_SEPARATOR_BYTES {
                    return Err(HashProblem::Malformed("the salt separator is too long"));
                }
                cost.check()
            }
            Self::Pbkdf2 { digest, iterations } => {
                let blocks = output.div_ceil(digest.bytes()) as u64;
                if (1..=MAX_PBKDF2_ROUNDS).contains(&(u64::from(*iterations) * blocks)) {
                    Ok(())
                } else {
                    Err(HashProblem::TooCostly(
                        "PBKDF2 of 1 to 10000000 iterations, over all blocks of its output",
                    ))
                }
            }
            Self::Salted(_) => Ok(()),
        }
    }
}

impl ScryptCost {
    fn check(self) -> Result<(), HashProblem> {
        let Self { log_n, r, p } = self;
        if SCRYPT_LOG_N.contains(&log_n) && SCRYPT_R.contains(&r) && SCRYPT_P.contains(&p) {
            let memory = u64::from(r) << log_n;
            if memory <= MAX_SCRYPT_MEMORY && memory * u64::from(p) <= MAX_SCRYPT_WORK {
                return Ok(());
            }
        }
        Err(HashProblem::TooCostly(
            "scrypt of N up to 131072, r up to 32, p up to 16, and no more than 128 MiB, or four times its work",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(scheme: &Scheme) -> bool {
        matches!(scheme.check(16, 32), Err(HashProblem::TooCostly(_)))
    }

    #[test]
    fn what_would_cost_too_much_is_known_before_it_is_computed() {
        let scrypt = |log_n, r, p| Scheme::Scrypt(ScryptCost { log_n, r, p });
        for taken in [(17, 8, 1), (17, 8, 4), (14, 8, 5), (15, 32, 1), (1, 1, 16)] {
            let (log_n, r, p) = taken;
            assert_eq!(scrypt(log_n, r, p).check(16, 32), Ok(()), "{taken:?}");
        }
        for (log_n, r, p) in [
            (18, 1, 1),
            (255, 8, 1),
            (0, 8, 1),
            (17, 16, 1),
            (17, 8, 5),
            (14, 8, 17),
            (14, 33, 1),
            (14, 0, 1),
            (14, 8, 0),
            (14, u32::MAX, u32::MAX),
        ] {
            assert!(costs(&scrypt(log_n, r, p)), "{log_n} {r} {p}");
        }
        let pbkdf2 = |digest, iterations| Scheme::Pbkdf2 { digest, iterations };
        assert_eq!(pbkdf2(Digest::Sha256, 10_000_000).check(16, 32), Ok(()));
        assert!(costs(&pbkdf2(Digest::Sha256, 10_000_001)));
        assert!(costs(&pbkdf2(Digest::Sha256, 0)));
        // Two blocks of SHA-1 are needed for 32 bytes: twice the work.
        assert!(costs(&pbkdf2(Digest::Sha1, 5_000_001)));
        assert!(costs(&pbkdf2(Digest::Sha512, u32::MAX)));
    }

    #[test]
    fn bcrypt_is_taken_from_its_least_cost_to_15() {
        for (cost, taken) in [(3, false), (4, true), (15, true), (16, false), (31, false)] {
            let bcrypt = Scheme::Bcrypt {
                cost,
                of_digest: false,
            };
            assert_eq!(bcrypt.check(16, 23).is_ok(), taken, "{cost}");
            assert!(bcrypt.check(16, 24).is_err() && bcrypt.check(15, 23).is_err());
        }
    }

    #[test]
    fn salts_and_outputs_have_bounds() {
        let salted = Scheme::Salted(Digest::Sha1);
        assert_eq!(salted.check(4, 20), Ok(()));
        for (salt, output) in [(3, 20), (65, 20), (4, 19), (4, 21), (0, 20)] {
            assert!(salted.check(salt, output).is_err(), "{salt} {output}");
        }
        let firebase = |key: usize, separator: usize| Scheme::Firebase {
            cost: ScryptCost {
                log_n: 14,
                r: 8,
                p: 1,
            },
            separator: vec![0; separator],
            signer_key: vec![0; key],
        };
        assert_eq!(firebase(64, 1).check(10, 64), Ok(()));
        assert!(firebase(64, 17).check(10, 64).is_err());
        assert!(firebase(64, 1).check(10, 32).is_err());
        assert!(firebase(65, 1).check(10, 65).is_err());
        assert!(firebase(0, 1).check(10, 0).is_err());
    }
}
