//! Forms of Django: the name of a hasher, and its own parts.

use super::{
    super::{
        phc::{self, StoredHash},
        scheme::{Digest, HashProblem, Scheme, ScryptCost},
    },
    base64, crypt,
};

pub(super) fn read(text: &str) -> Result<StoredHash, HashProblem> {
    let (name, rest) = text.split_once('$').ok_or(HashProblem::Unknown)?;
    let parts: Vec<_> = rest.split('$').collect();
    match (name, parts.as_slice()) {
        ("pbkdf2_sha256", [iterations, salt, output]) => {
            pbkdf2(Digest::Sha256, iterations, salt, output)
        }
        ("pbkdf2_sha1", [iterations, salt, output]) => {
            pbkdf2(Digest::Sha1, iterations, salt, output)
        }
        ("bcrypt", ["", "2a" | "2b" | "2y", cost, body]) => crypt::bcrypt(cost, body, false),
        ("bcrypt_sha256", ["", "2a" | "2b" | "2y", cost, body]) => crypt::bcrypt(cost, body, true),
        // `argon2$argon2id$v=19$…`: what stands behind the name is a PHC string.
        ("argon2", ["argon2id" | "argon2i", ..]) => crypt::read(&text[name.len()..]),
        ("scrypt", [n, salt, r, p, output]) => scrypt(n, salt, (r, p), output),
        ("pbkdf2_sha256" | "pbkdf2_sha1" | "bcrypt" | "bcrypt_sha256" | "argon2" | "scrypt", _) => {
            Err(HashProblem::Malformed(
                "it is not of the parts that Django writes",
            ))
        }
        _ => Err(HashProblem::Unknown),
    }
}

/// The salt is text and counts as it is.
fn pbkdf2(
    digest: Digest,
    iterations: &str,
    salt: &str,
    output: &str,
) -> Result<StoredHash, HashProblem> {
    let iterations = phc::number(iterations)?;
    let scheme = Scheme::Pbkdf2 { digest, iterations };
    StoredHash::checked(scheme, salt.as_bytes().to_vec(), base64(output)?)
}

/// `scrypt$N$salt$r$p$hash`, with N itself and the salt as text.
fn scrypt(
    n: &str,
    salt: &str,
    (r, p): (&str, &str),
    output: &str,
) -> Result<StoredHash, HashProblem> {
    let n: u32 = phc::number(n)?;
    if !n.is_power_of_two() {
        return Err(HashProblem::Malformed("scrypt's N is a power of two"));
    }
    let cost = ScryptCost {
        // At most 31.
        log_n: u8::try_from(n.trailing_zeros()).unwrap_or(u8::MAX),
        r: phc::number(r)?,
        p: phc::number(p)?,
    };
    let salt = salt.as_bytes().to_vec();
    StoredHash::checked(Scheme::Scrypt(cost), salt, base64(output)?)
}
