//! Hashes that other programs made: every form is read here and nowhere else, into the one text that is stored.
//!
//! | form | as written by |
//! |---|---|
//! | `$argon2id$…`, `$argon2i$…`, `$scrypt$…` | the PHC string format |
//! | `$pbkdf2-sha256$i=…[,l=…]$…` | the same; with a bare number and `.` for `+`, passlib's `pbkdf2_digest` |
//! | `$2a$`, `$2b$`, `$2y$` | crypt(5), of which `2x` and `2` are refused: they are of faulty programs |
//! | `$7$…` | libxcrypt and passlib's `scrypt` |
//! | `pbkdf2_sha256$…`, `pbkdf2_sha1$…`, `bcrypt$…`, `bcrypt_sha256$…`, `argon2$…`, `scrypt$…` | Django's `django.contrib.auth.hashers` |
//! | `{SSHA}…`, `{SSHA256}…`, `{SSHA512}…` | `slapd` of `OpenLDAP` and its `pw-sha2` |
//! | `{"credentialData":…,"secretData":…}` | Keycloak's `CredentialRepresentation`, in an export of a realm |
//! | `{"passwordHash":…,"salt":…,"signerKey":…}` | Firebase: a user of `auth:export` with the `hash_config` of the project |

mod crypt;
mod django;
mod json;

use base64::{
    Engine as _,
    alphabet::{BCRYPT, STANDARD},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    phc::StoredHash,
    scheme::{Digest, HashProblem, Scheme},
};

/// The longest text that is read at all.
const MAX_TEXT: usize = 4096;
/// Other programs pad or do not, and some leave bits behind the last byte that are not zero.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Reads the hash of a password that another program made, and answers the text to store, which
/// [`HashPool::verify`](super::HashPool::verify) takes. Nothing is computed.
///
/// What is verified against it is the password as it was typed, without normalisation: that is what its maker was
/// given. The first proof replaces it by a hash of ours.
///
/// # Errors
///
/// Why it is not taken; nothing of the text is repeated.
pub fn import_hash(text: &str) -> Result<String, HashProblem> {
    if text.len() > MAX_TEXT {
        return Err(HashProblem::Malformed("longer than 4096 characters"));
    }
    let read = match text.as_bytes() {
        [b'{', b'A'..=b'Z' | b'a'..=b'z', ..] => ldap(text),
        [b'{', ..] => json::read(text),
        [b'$', ..] => crypt::read(text),
        _ => django::read(text),
    }?;
    Ok(read.encode())
}

/// `{SSHA}` of `OpenLDAP`: base64 of the digest with the salt behind it. The names are read in any case (RFC 2307).
fn ldap(text: &str) -> Result<StoredHash, HashProblem> {
    let (name, encoded) = text[1..].split_once('}').ok_or(HashProblem::Unknown)?;
    let digest = match name.to_ascii_uppercase().as_str() {
        "SSHA" => Digest::Sha1,
        "SSHA256" => Digest::Sha256,
        "SSHA512" => Digest::Sha512,
        _ => return Err(HashProblem::Unknown),
    };
    let mut output = base64(encoded)?;
    let length = digest.bytes().min(output.len());
    let salt = output.split_off(length);
    StoredHash::checked(Scheme::Salted(digest), salt, output)
}

/// Base64 of RFC 4648 in its alphabet for files, for URLs, or passlib's with `.`; with or without padding.
fn base64(text: &str) -> Result<Vec<u8>, HashProblem> {
    let common: String = text
        .chars()
        .map(|c| match c {
            '-' | '.' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    GeneralPurpose::new(&STANDARD, LENIENT)
        .decode(common)
        .map_err(|_| HashProblem::Malformed("salt or hash is not base64"))
}

/// The base64 of bcrypt, whose alphabet is its own.
fn bcrypt_base64(text: &str) -> Result<Vec<u8>, HashProblem> {
    GeneralPurpose::new(&BCRYPT, LENIENT)
        .decode(text)
        .map_err(|_| HashProblem::Malformed("salt or hash is not bcrypt's base64"))
}

#[cfg(test)]
mod tests;
