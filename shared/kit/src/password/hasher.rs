//! One thread's hasher: Argon2id in memory that is allocated once and used again.
//!
//! 19 MiB allocated anew for every login would cost an eighth of the speed and leave the heap in pieces.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    derive::derive,
    phc::{OUTPUT_BYTES, SALT_BYTES, StoredHash},
    policy::PasswordPolicy,
    scheme::{HashProblem, Scheme},
    text::Candidate,
};

/// Why a password was neither hashed nor verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashError {
    /// There is more work than can be done in time. Nothing was computed.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The stored hash is not one that can be verified. Nothing was computed.
    #[error("the stored hash is unusable: it {0}")]
    Unusable(HashProblem),
    /// There is no memory for a hash of this cost.
    #[error("no memory for a hash")]
    OutOfMemory,
    /// The pool has ended.
    #[error("the hash pool has ended")]
    Stopped,
}

/// Hashes and verifies on the calling thread.
pub(super) struct Hasher {
    policy: PasswordPolicy,
    /// Empty before the first hash, so that an idle service does not hold it. The last block computed stays in it
    /// until the next hash: with two passes or more, a guess checked against it costs no less than a hash.
    arena: Vec<Block>,
    work_kib: u64,
    /// What a KiB took in the last hash of the policy's cost; unknown before the first.
    nanos_per_kib: Option<u64>,
}

impl Hasher {
    pub(super) fn new(policy: PasswordPolicy) -> Self {
        Self {
            policy,
            arena: Vec::new(),
            work_kib: 0,
            nanos_per_kib: None,
        }
    }

    /// Takes the count of KiB filled since the last call, or what else was computed meanwhile comes to.
    pub(super) fn take_work_kib(&mut self) -> u64 {
        std::mem::take(&mut self.work_kib)
    }

    /// Hashes a password at the policy's cost.
    pub(super) fn hash(
        &mut self,
        password: &[u8],
        salt: [u8; SALT_BYTES],
    ) -> Result<StoredHash, HashError> {
        let mut output = vec![0; OUTPUT_BYTES];
        let ours = (Algorithm::Argon2id, Version::V0x13);
        self.fill(ours, self.policy, password, &salt, &mut output)?;
        Ok(StoredHash {
            scheme: Scheme::Own(self.policy),
            salt: salt.to_vec(),
            output,
        })
    }

    /// Says whether the candidate is the password of the hash. It never costs less than the policy says, whatever
    /// the hash declares, so that the time does not tell whose hash it was. One that is dearer takes longer: until
    /// its first proof replaces it, that tells of a user who came from elsewhere.
    pub(super) fn verify(
        &mut self,
        candidate: &Candidate,
        stored: &StoredHash,
    ) -> Result<bool, HashError> {
        let mut output = Zeroizing::new(vec![0; stored.output.len()]);
        let before_kib = self.work_kib;
        match &stored.scheme {
            Scheme::Own(cost) => {
                let ours = (Algorithm::Argon2id, Version::V0x13);
                let password = candidate.as_bytes();
                self.fill(ours, *cost, password, &stored.salt, &mut output)?;
            }
            Scheme::Argon2 {
                algorithm,
                version,
                cost,
            } => {
                let kind = (*algorithm, *version);
                let password = candidate.as_typed();
                self.fill(kind, *cost, password, &stored.salt, &mut output)?;
            }
            Scheme::Bcrypt { .. }
            | Scheme::Scrypt(_)
            | Scheme::Firebase { .. }
            | Scheme::Pbkdf2 { .. }
            | Scheme::Salted(_) => {
                let begun = Instant::now();
                derive(
                    &stored.scheme,
                    candidate.as_typed(),
                    &stored.salt,
                    &mut output,
                )
                .map_err(HashError::Unusable)?;
                self.work_kib += self.kib_of(begun.elapsed());
            }
        }
        self.pad(self.work_kib - before_kib)?;
        let equal = output.ct_eq(&stored.output);
        Ok(bool::from(equal) && candidate.is_possible())
    }

    /// What this thread would have filled in a time: with it, the work of other schemes counts beside our own, whatever
    /// this processor is good at. While that is unknown it counts as nothing, so that all of a hash is added to it.
    fn kib_of(&self, took: Duration) -> u64 {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos_per_kib
            .map_or(0, |nanos_per_kib| nanos / nanos_per_kib)
    }

    /// Does the rest of the work of one hash at the policy's cost.
    fn pad(&mut self, done_kib: u64) -> Result<(), HashError> {
        let missing_kib = self.policy.work_kib().saturating_sub(done_kib);
        let t = self.policy.t;
        let m_kib = u32::try_from(missing_kib / u64::from(t)).unwrap_or(self.policy.m_kib);
        let rest = PasswordPolicy { m_kib, t, p: 1 };
        // Less than the smallest hash cannot be told from noise.
        if rest.params().is_ok() {
            let ours = (Algorithm::Argon2id, Version::V0x13);
            self.fill(ours, rest, &[], &[0; SALT_BYTES], &mut [0; OUTPUT_BYTES])?;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        (algorithm, version): (Algorithm, Version),
        cost: PasswordPolicy,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), HashError> {
        const COST: HashProblem = HashProblem::TooCostly("Argon2 out of its bounds");
        const LENGTHS: HashProblem =
            HashProblem::Malformed("salt or hash is too short or too long");
        let params = cost.params().map_err(|_| HashError::Unusable(COST))?;
        self.reserve(&params)?;
        let begun = Instant::now();
        Argon2::new(algorithm, version, params)
            .hash_password_into_with_memory(password, salt, output, &mut self.arena)
            .map_err(|_| HashError::Unusable(LENGTHS))?;
        self.work_kib += cost.work_kib();
        // Smaller ones stay in the caches of the processor and say too little of a whole one.
        if cost.work_kib() >= self.policy.work_kib() {
            let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.nanos_per_kib = Some((nanos / cost.work_kib()).max(1));
        }
        Ok(())
    }

    /// Makes the arena large enough, and no larger than the policy's unless this hash needs it.
    fn reserve(&mut self, params: &Params) -> Result<(), HashError> {
        let own = self.policy.m_kib as usize;
        let needed = params.block_count().max(own);
        if self.arena.len() > needed {
            self.arena.truncate(needed);
            self.arena.shrink_to_fit();
        }
        let missing = needed - self.arena.len();
        self.arena
            .try_reserve_exact(missing)
            .map_err(|_| HashError::OutOfMemory)?;
        self.arena.resize(needed, Block::new());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher as _;

    use super::*;
    use crate::password::{candidate, import_hash, scheme::Digest};

    const TINY: PasswordPolicy = PasswordPolicy {
        m_kib: 64,
        t: 2,
        p: 1,
    };

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_reference_vectors_hold() {
        // From the test programme of the reference implementation, Argon2id of version 19.
        for (cost, password, salt, output) in [
            (
                (256, 2, 1),
                "password",
                "somesalt",
                "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe",
            ),
            (
                (256, 2, 2),
                "password",
                "somesalt",
                "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037",
            ),
        ] {
            let (m_kib, t, p) = cost;
            let stored = StoredHash {
                scheme: Scheme::Own(PasswordPolicy { m_kib, t, p }),
                salt: salt.into(),
                output: hex(output),
            };
            let mut hasher = Hasher::new(TINY);
            assert_eq!(hasher.verify(&candidate(password), &stored), Ok(true));
            assert_eq!(hasher.verify(&candidate("Password"), &stored), Ok(false));
        }
    }

    #[test]
    fn random_inputs_agree_with_an_independent_hasher_of_fresh_memory() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..40 {
            let p = u32::try_from(random() % 4).unwrap() + 1;
            let cost = PasswordPolicy {
                m_kib: 8 * p + u32::try_from(random() % 90).unwrap(),
                t: u32::try_from(random() % 3).unwrap() + 1,
                p,
            };
            let password: Vec<u8> = (0..random() % 100)
                .map(|_| random().to_le_bytes()[0])
                .collect();
            let salt: [u8; SALT_BYTES] = std::array::from_fn(|_| random().to_le_bytes()[0]);

            // One hasher for two hashes: nothing of the first may reach the second.
            let mut hasher = Hasher::new(cost);
            hasher.hash(b"something else", [7; SALT_BYTES]).unwrap();
            let ours = hasher.hash(&password, salt).unwrap().encode();

            let theirs = Argon2::from(cost.params().unwrap())
                .hash_password_with_salt(&password, &salt)
                .unwrap();
            assert_eq!(ours, theirs.to_string());
        }
    }

    #[test]
    fn a_cheaper_stored_hash_costs_the_whole_work_of_the_policy() {
        let cheap = Hasher::new(PasswordPolicy {
            m_kib: 16,
            t: 1,
            p: 1,
        })
        .hash(b"secret", [1; SALT_BYTES])
        .unwrap();
        let equal = Hasher::new(TINY).hash(b"secret", [1; SALT_BYTES]).unwrap();

        let mut hasher = Hasher::new(TINY);
        assert_eq!(hasher.verify(&candidate("secret"), &cheap), Ok(true));
        assert_eq!(hasher.take_work_kib(), TINY.work_kib());
        assert_eq!(hasher.verify(&candidate("secret"), &equal), Ok(true));
        assert_eq!(hasher.take_work_kib(), TINY.work_kib());
    }

    #[test]
    fn a_hash_of_another_scheme_costs_the_whole_work_of_the_policy() {
        const LARGE: PasswordPolicy = PasswordPolicy {
            m_kib: 2048,
            t: 2,
            p: 1,
        };
        let text = "{SSHA}iGwo6JnfnM9YZ+6uHGSqMh62Q5ZzYWx0";
        let stored = StoredHash::parse(&import_hash(text).unwrap()).unwrap();
        let mut hasher = Hasher::new(LARGE);
        // The first finds no measure yet: a whole hash is done beside it. Then the missing part, but for what is less
        // than the smallest hash.
        for _ in 0..3 {
            assert_eq!(hasher.verify(&candidate("wrong"), &stored), Ok(false));
            let work = hasher.take_work_kib();
            let whole = LARGE.work_kib();
            assert!((whole - 16..=whole).contains(&work), "{work} of {whole}");
        }
        // Work of a hundred times as long as it takes to fill the policy's is not added to.
        hasher.nanos_per_kib = Some(1);
        hasher.verify(&candidate("wrong"), &stored).unwrap();
        let dear = StoredHash {
            scheme: Scheme::Pbkdf2 {
                digest: Digest::Sha256,
                iterations: 20_000,
            },
            salt: vec![1; 16],
            output: vec![2; 32],
        };
        hasher.take_work_kib();
        hasher.nanos_per_kib = Some(1);
        assert_eq!(hasher.verify(&candidate("wrong"), &dear), Ok(false));
        assert!(hasher.take_work_kib() > LARGE.work_kib());
        assert_eq!(hasher.nanos_per_kib, Some(1), "a hash was filled beside it");
    }

    #[test]
    fn a_hash_from_elsewhere_is_of_what_was_typed_and_ours_of_its_normal_form() {
        let typed = "cafe\u{301} im Park, zwei Kuchen";
        let own = Hasher::new(TINY)
            .hash("café im Park, zwei Kuchen".as_bytes(), [1; SALT_BYTES])
            .unwrap();
        let foreign = |password: &str| {
            let output = Hasher::new(TINY).hash(password.as_bytes(), [1; SALT_BYTES]);
            StoredHash {
                scheme: Scheme::Argon2 {
                    algorithm: Algorithm::Argon2id,
                    version: Version::V0x13,
                    cost: TINY,
                },
                ..output.unwrap()
            }
        };
        let mut hasher = Hasher::new(TINY);
        for (stored, matches) in [
            (own, true),
            (foreign(typed), true),
            (foreign("café im Park, zwei Kuchen"), false),
        ] {
            assert_eq!(hasher.verify(&candidate(typed), &stored), Ok(matches));
        }
    }

    #[test]
    fn a_candidate_too_long_to_be_a_password_costs_the_same_and_is_wrong() {
        let stored = Hasher::new(TINY).hash(b"", [1; SALT_BYTES]).unwrap();
        let mut hasher = Hasher::new(TINY);
        let too_long = "x".repeat(1025);
        assert_eq!(hasher.verify(&candidate(&too_long), &stored), Ok(false));
        assert_eq!(hasher.take_work_kib(), TINY.work_kib());
    }

    #[test]
    fn memory_for_one_dear_hash_is_given_back() {
        let dear = Hasher::new(PasswordPolicy {
            m_kib: 1024,
            t: 1,
            p: 1,
        })
        .hash(b"secret", [1; SALT_BYTES])
        .unwrap();
        let mut hasher = Hasher::new(TINY);
        assert_eq!(hasher.arena.capacity(), 0);
        hasher.verify(&candidate("secret"), &dear).unwrap();
        assert_eq!(hasher.arena.len(), 1024);
        hasher.hash(b"secret", [1; SALT_BYTES]).unwrap();
        assert_eq!(hasher.arena.len(), 64);
    }
}
