//! Forms that begin with `$`: crypt(5), the PHC string format, passlib.

use argon2::Algorithm;

use super::{
    super::{
        phc::{self, StoredHash},
        scheme::{Digest, HashProblem, Scheme, ScryptCost},
    },
    base64, bcrypt_base64,
};

/// The alphabet of `$7$`, whose place of a character is its value.
const CRYPT_64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of salt and hash of bcrypt.
const BCRYPT_SALT: usize = 22;

pub(super) fn read(text: &str) -> Result<StoredHash, HashProblem> {
    let parts: Vec<_> = text.split('$').skip(1).collect();
    match *parts.as_slice() {
        ["2a" | "2b" | "2y", cost, body] => bcrypt(cost, body, false),
        ["argon2id", ref rest @ ..] => argon2(Algorithm::Argon2id, rest),
        ["argon2i", ref rest @ ..] => argon2(Algorithm::Argon2i, rest),
        ["scrypt", cost, salt, output] => {
            let [log_n, r, p] = phc::parameters(cost, ["ln=", "r=", "p="])?;
            let cost = ScryptCost {
                log_n: phc::number(log_n)?,
                r: phc::number(r)?,
                p: phc::number(p)?,
            };
            StoredHash::checked(Scheme::Scrypt(cost), base64(salt)?, base64(output)?)
        }
        ["pbkdf2" | "pbkdf2-sha1", cost, salt, output] => pbkdf2(Digest::Sha1, cost, salt, output),
        ["pbkdf2-sha256", cost, salt, output] => pbkdf2(Digest::Sha256, cost, salt, output),
        ["pbkdf2-sha512", cost, salt, output] => pbkdf2(Digest::Sha512, cost, salt, output),
        ["7", settings, output] => scrypt_7(settings, output),
        // As it was stored by another of these services.
        _ => StoredHash::parse(text),
    }
}

/// `$2b$12$` with 22 characters of salt and 31 of hash. The three versions differ in the faults of old programs with
/// passwords of more than 72 bytes alone, which all of today's cut.
pub(super) fn bcrypt(cost: &str, body: &str, of_digest: bool) -> Result<StoredHash, HashProblem> {
    if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HashProblem::Malformed("bcrypt's cost has two digits"));
    }
    let cost = phc::number(cost.strip_prefix('0').unwrap_or(cost))?;
    let (salt, output) = body
        .split_at_checked(BCRYPT_SALT)
        .ok_or(HashProblem::Malformed(
            "bcrypt has 53 characters at its end",
        ))?;
    let scheme = Scheme::Bcrypt { cost, of_digest };
    StoredHash::checked(scheme, bcrypt_base64(salt)?, bcrypt_base64(output)?)
}

/// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`; where the version is missing it is 16, as the first programs wrote it.
fn argon2(algorithm: Algorithm, rest: &[&str]) -> Result<StoredHash, HashProblem> {
    let (version, cost, salt, output) = match *rest {
        [version, cost, salt, output] => (version, cost, salt, output),
        [cost, salt, output] => ("v=16", cost, salt, output),
        _ => return Err(HashProblem::Malformed("Argon2 has four or five parts")),
    };
    let scheme = phc::typed(algorithm, version, cost)?;
    StoredHash::checked(scheme, base64(salt)?, base64(output)?)
}

/// The cost is `i=…`, also with the length as `l=…`, or a bare number as passlib writes it.
fn pbkdf2(digest: Digest, cost: &str, salt: &str, output: &str) -> Result<StoredHash, HashProblem> {
    let output = base64(output)?;
    let iterations = match cost.strip_prefix("i=") {
        None => cost,
        Some(named) => match named.split_once(",l=") {
            None => named,
            Some((iterations, length)) if phc::number::<usize>(length)? == output.len() => {
                iterations
            }
            Some(_) => {
                return Err(HashProblem::Malformed(
                    "the hash is not of the length it says",
                ));
            }
        },
    };
    let iterations = phc::number(iterations)?;
    let scheme = Scheme::Pbkdf2 { digest, iterations };
    StoredHash::checked(scheme, base64(salt)?, output)
}

/// `$7$`: one character of the logarithm of N, five of r, five of p, the salt as it is, and the hash.
fn scrypt_7(settings: &str, output: &str) -> Result<StoredHash, HashProblem> {
    const PROBLEM: HashProblem = HashProblem::Malformed("it is not as crypt(5) has `$7$`");
    if !settings.is_ascii() || settings.len() < 11 {
        return Err(PROBLEM);
    }
    let (cost, salt) = settings.split_at(11);
    let values = cost.bytes().map(value).collect::<Option<Vec<_>>>();
    let values = values.ok_or(PROBLEM)?;
    let number = |values: &[u8]| {
        let backwards = values.iter().rev();
        backwards.fold(0, |sum: u32, value| sum << 6 | u32::from(*value))
    };
    let cost = ScryptCost {
        log_n: values[0],
        r: number(&values[1..6]),
        p: number(&values[6..11]),
    };
    let output = crypt_64(output).ok_or(PROBLEM)?;
    StoredHash::checked(Scheme::Scrypt(cost), salt.as_bytes().to_vec(), output)
}

fn value(character: u8) -> Option<u8> {
    let place = CRYPT_64.iter().position(|known| *known == character)?;
    u8::try_from(place).ok()
}

/// Groups of four characters, the lowest bits first, for three bytes, the lowest first.
fn crypt_64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for (place, character) in group.iter().enumerate() {
            bits |= u32::from(value(*character)?) << (6 * place);
        }
        let whole = group.len() * 6 / 8;
        bytes.extend(&bits.to_le_bytes()[..whole]);
    }
    Some(bytes)
}
