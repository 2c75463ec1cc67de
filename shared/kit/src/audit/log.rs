//! The keys of the log: what chains it, and what seals the keys of its subjects.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::row::Row;
use crate::{
    entropy::{self, Entropy},
    secret::{BrokenSeal, RootSecret, Sealer, join, sign},
};

/// Names what is tagged or sealed, and the version of the encoding.
const HEAD: &[u8] = b"identity audit head 1";
const ANCHOR: &[u8] = b"identity audit anchor 1";
const BREAK: &[u8] = b"identity audit break 1";
const KEY: &[u8] = b"identity audit subject key 1";
const PART: &[u8] = b"identity audit sealed part 1";

/// The keys of the log of one service.
pub struct AuditLog {
    chain: hmac::Key,
    subjects: Sealer,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLog(..)")
    }
}

/// The key of one subject.
pub(super) struct SubjectKey(Sealer);

impl AuditLog {
    /// Derives the keys from the secret of the service.
    #[must_use]
    pub fn new(root: &RootSecret) -> Self {
        let chain = Zeroizing::new(root.derive("audit chain"));
        Self {
            chain: hmac::Key::new(hmac::HMAC_SHA256, &*chain),
            subjects: Sealer::new(root.derive("audit subject keys")),
        }
    }

    /// The hash of a row, over everything else in it.
    pub(super) fn hash(&self, row: &Row) -> String {
        hex(&sign(&self.chain, &[&row.encode()]))
    }

    /// Whether a row has the hash that it should.
    pub(super) fn holds(&self, row: &Row) -> bool {
        is_same(&row.hash, &self.hash(row))
    }

    /// The tag of the end of the chain.
    pub(super) fn head_tag(&self, sequence: i64, hash: &str, at: i64) -> String {
        self.tag(
            HEAD,
            &[&sequence.to_be_bytes(), hash.as_bytes(), &at.to_be_bytes()],
        )
    }

    /// The tag of the place up to which the log was trimmed.
    pub(super) fn anchor_tag(&self, sequence: i64, hash: &str) -> String {
        self.tag(ANCHOR, &[&sequence.to_be_bytes(), hash.as_bytes()])
    }

    /// What the first row after a head that was tampered with links to: no row has this hash.
    pub(super) fn break_hash(&self, sequence: i64, hash: &str, tag: &str) -> String {
        self.tag(
            BREAK,
            &[&sequence.to_be_bytes(), hash.as_bytes(), tag.as_bytes()],
        )
    }

    fn tag(&self, purpose: &[u8], parts: &[&[u8]]) -> String {
        let mut all = vec![purpose];
        all.extend_from_slice(parts);
        hex(&sign(&self.chain, &[&join(&all)]))
    }

    /// A fresh key for a subject, and how it is kept.
    pub(super) fn new_key(&self, subject: &str, entropy: &dyn Entropy) -> (SubjectKey, String) {
        let key = Zeroizing::new(entropy::bytes::<32>(entropy));
        let context = join(&[KEY, subject.as_bytes()]);
        let kept = self.subjects.seal(&context, &*key, entropy);
        (SubjectKey(Sealer::new(*key)), URL_SAFE_NO_PAD.encode(kept))
    }

    /// The key of a subject from how it is kept.
    pub(super) fn open_key(&self, subject: &str, kept: &str) -> Result<SubjectKey, BrokenSeal> {
        let kept = URL_SAFE_NO_PAD.decode(kept).map_err(|_| BrokenSeal)?;
        let context = join(&[KEY, subject.as_bytes()]);
        let opened = self.subjects.open(&context, &kept)?;
        let key = <[u8; 32]>::try_from(opened.as_slice()).map_err(|_| BrokenSeal)?;
        Ok(SubjectKey(Sealer::new(key)))
    }
}

impl SubjectKey {
    /// The sealed part of the row of this sequence.
    pub(super) fn seal(
        &self,
        subject: &str,
        sequence: i64,
        part: &[u8],
        entropy: &dyn Entropy,
    ) -> String {
        URL_SAFE_NO_PAD.encode(self.0.seal(&context(subject, sequence), part, entropy))
    }

    /// What the sealed part of the row of this sequence says.
    pub(super) fn open(
        &self,
        subject: &str,
        sequence: i64,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| BrokenSeal)?;
        self.0.open(&context(subject, sequence), &sealed)
    }
}

fn context(subject: &str, sequence: i64) -> Vec<u8> {
    join(&[PART, subject.as_bytes(), &sequence.to_be_bytes()])
}

/// Compares without telling by the time it takes where two differ.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entropy::SystemEntropy, secret::Secret};

    fn log(byte: u8) -> AuditLog {
        AuditLog::new(&RootSecret::new(&Secret::new(vec![byte; 32])))
    }

    #[test]
    fn a_hash_is_of_its_root_secret_and_its_row() {
        let mut row = Row::default();
        row.hash = log(1).hash(&row);
        assert_eq!(row.hash.len(), 64);
        assert!(log(1).holds(&row));
        assert!(!log(2).holds(&row));
        row.details = "{}".to_owned();
        assert!(!log(1).holds(&row));
    }

    #[test]
    fn tags_of_different_purposes_differ() {
        let log = log(1);
        assert_ne!(log.anchor_tag(1, "h"), log.break_hash(1, "h", ""));
        assert_ne!(log.head_tag(1, "h", 0), log.head_tag(1, "h", 1));
    }

    #[test]
    fn a_sealed_part_opens_for_its_subject_and_row_alone() {
        let (key, kept) = log(1).new_key("user/a", &SystemEntropy);
        let sealed = key.seal("user/a", 7, b"ada", &SystemEntropy);
        let again = log(1).open_key("user/a", &kept).unwrap();
        assert_eq!(again.open("user/a", 7, &sealed).unwrap().as_slice(), b"ada");
        assert!(again.open("user/a", 8, &sealed).is_err());
        assert!(again.open("user/b", 7, &sealed).is_err());
        assert!(log(1).open_key("user/b", &kept).is_err());
        assert!(log(2).open_key("user/a", &kept).is_err());
    }
}
