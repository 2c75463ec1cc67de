//! Secrets: reading them from files, deriving keys, sealing what is kept.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use zeroize::Zeroizing;

use crate::entropy::{self, Entropy};

/// Bytes that are wiped from memory when dropped and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a secret file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("cannot read the secret file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file holds too little.
    #[error("the secret file {} holds {length} bytes, at least {minimum} are needed", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Bytes found.
        length: usize,
        /// Bytes needed.
        minimum: usize,
    },
}

/// Reads a secret of at least `minimum` bytes.
///
/// The line end that editors leave behind a text is not part of the secret; binary content is taken whole.
///
/// # Errors
///
/// The file cannot be read or is too short.
pub fn read_secret_file(path: impl AsRef<Path>, minimum: usize) -> Result<Secret, SecretFileError> {
    let path = path.as_ref();
    let mut bytes = Zeroizing::new(fs::read(path).map_err(|source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    })?);
    if bytes
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    {
        let length = bytes.trim_ascii_end().len();
        bytes.truncate(length);
    }
    if bytes.len() < minimum {
        return Err(SecretFileError::TooShort {
            path: path.to_owned(),
            length: bytes.len(),
            minimum,
        });
    }
    Ok(Secret(bytes))
}

/// The one secret of a service, from which each key is derived by its label.
#[derive(Clone)]
pub struct RootSecret(hmac::Key);

impl RootSecret {
    /// Least length in bytes.
    pub const MINIMUM: usize = 32;

    /// Separates these keys from those that other software may derive from the same secret.
    const SALT: &'static [u8] = b"identity root secret";

    /// Reads the secret of at least 32 bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is too short.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretFileError> {
        read_secret_file(path, Self::MINIMUM).map(|secret| Self::new(&secret))
    }

    /// Takes a secret of at least 32 bytes.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, Self::SALT);
        let extracted = hmac::sign(&salt, secret.expose());
        Self(hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()))
    }

    /// The key of a purpose: HKDF-SHA256 with the label as its info.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        // HKDF's first block is all that 32 bytes need, and unlike the library's HKDF it cannot fail.
        sign(&self.0, &[label.as_bytes(), &[1]])
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(..)")
    }
}

/// Something sealed was changed, is from elsewhere, or is sealed under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not hold")]
pub struct BrokenSeal;

/// Authenticated encryption of what is kept: AES-256-GCM with a random nonce.
#[derive(Debug)]
pub struct Sealer(LessSafeKey);

impl Sealer {
    /// Uses a derived key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let Ok(key) = UnboundKey::new(&AES_256_GCM, &*Zeroizing::new(key)) else {
            unreachable!("AES-256 takes every key of 32 bytes");
        };
        Self(LessSafeKey::new(key))
    }

    /// Seals a text; `context` must be given again to open it.
    #[must_use]
    pub fn seal(&self, context: &[u8], plaintext: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        let nonce = entropy::bytes::<NONCE_LEN>(entropy);
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let Ok(tag) = self.0.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut sealed[NONCE_LEN..],
        ) else {
            unreachable!("texts in memory are shorter than the limit of AES-GCM");
        };
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed under the same key and context.
    ///
    /// # Errors
    ///
    /// The seal does not hold.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(BrokenSeal)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context),
                &mut text,
            )
            .map_err(|_| BrokenSeal)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

/// Joins parts so that no two lists of parts give the same bytes.
#[must_use]
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

/// HMAC-SHA256 over the parts as they follow each other.
pub(crate) fn sign(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hkdf;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn derived_keys_are_those_of_hkdf() {
        let root = RootSecret::new(&Secret::new(vec![7; 40]));
        let mut expected = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, RootSecret::SALT)
            .extract(&[7; 40])
            .expand(&[b"pages"], hkdf::HKDF_SHA256)
            .unwrap()
            .fill(&mut expected)
            .unwrap();
        assert_eq!(root.derive("pages"), expected);
        assert_ne!(root.derive("pages"), root.derive("other"));
    }

    #[test]
    fn line_end_of_a_text_secret_is_dropped_and_binary_content_is_kept() {
        let text = read_secret_file(file(b"0123456789\r\n").path(), 10).unwrap();
        assert_eq!(text.expose(), b"0123456789");
        let binary = read_secret_file(file(&[0xff, b'\n']).path(), 2).unwrap();
        assert_eq!(binary.expose(), &[0xff, b'\n']);
    }

    #[test]
    fn short_or_absent_secret_file_is_refused_by_name() {
        let short = file(b"short\n");
        let error = read_secret_file(short.path(), 32).unwrap_err();
        assert!(
            error.to_string().contains("holds 5 bytes, at least 32"),
            "{error}"
        );
        assert!(matches!(
            RootSecret::from_file("/absent/secret"),
            Err(SecretFileError::Read { .. })
        ));
    }

    #[test]
    fn seal_opens_only_unchanged_and_in_its_context() {
        let sealer = Sealer::new([1; 32]);
        let blob = sealer.seal(b"row 1", b"text", &SystemEntropy);
        assert_eq!(sealer.open(b"row 1", &blob).unwrap().as_slice(), b"text");
        assert_eq!(sealer.open(b"row 2", &blob), Err(BrokenSeal));
        assert_eq!(Sealer::new([2; 32]).open(b"row 1", &blob), Err(BrokenSeal));
        for place in 0..blob.len() {
            let mut changed = blob.clone();
            changed[place] ^= 1;
            assert_eq!(sealer.open(b"row 1", &changed), Err(BrokenSeal));
        }
        assert_eq!(sealer.open(b"row 1", &blob[..5]), Err(BrokenSeal));
    }

    #[test]
    fn joined_parts_are_unambiguous() {
        assert_ne!(join(&[b"ab", b"c"]), join(&[b"a", b"bc"]));
        assert_ne!(join(&[b""]), join(&[]));
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = Secret::new(b"hunter2".to_vec());
        let root = RootSecret::new(&secret);
        assert_eq!(format!("{secret:?} {root:?}"), "Secret(..) RootSecret(..)");
    }
}
