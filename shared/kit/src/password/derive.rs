//! What schemes other than Argon2 make of a password: the bytes to compare with those that are stored.

use aws_lc_rs::{
    cipher::{AES_256, AES_256_KEY_LEN, EncryptingKey, EncryptionContext, UnboundCipherKey},
    digest,
    iv::FixedLength,
    pbkdf2,
};
use zeroize::Zeroizing;

use super::scheme::{BCRYPT_SALT_BYTES, Digest, HashProblem, Scheme, ScryptCost};

/// The most bytes of a password that bcrypt looks at, with the NUL that ends it.
const BCRYPT_KEY_BYTES: usize = 72;
/// The parts and the cost are checked before anything is computed: this tells of a defect, not of an input.
const PROBLEM: HashProblem = HashProblem::Malformed("its parts do not fit together");

/// Fills the output from a password. The cost must have been checked.
pub(super) fn derive(
    scheme: &Scheme,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
) -> Result<(), HashProblem> {
    match scheme {
        Scheme::Bcrypt { cost, of_digest } => {
            if *of_digest {
                bcrypt(*cost, hex_of_sha256(password).as_slice(), salt, output)
            } else {
                bcrypt(*cost, password, salt, output)
            }
        }
        Scheme::Scrypt(cost) => scrypt(*cost, password, salt, output),
        Scheme::Firebase {
            cost,
            separator,
            signer_key,
        } => firebase(*cost, (separator, signer_key), password, salt, output),
        Scheme::Pbkdf2 { digest, iterations } => {
            let iterations = (*iterations).try_into().map_err(|_| PROBLEM)?;
            pbkdf2::derive(digest.pbkdf2(), iterations, salt, password, output);
            Ok(())
        }
        Scheme::Salted(digest) => {
            let mut context = digest::Context::new(digest.algorithm());
            context.update(password);
            context.update(salt);
            copy(context.finish().as_ref(), output)
        }
        Scheme::Own(_) | Scheme::Argon2 { .. } => Err(PROBLEM),
    }
}

/// The first 72 bytes with a NUL behind the last, as every program with `$2b$` has it. A NUL inside is a byte as any
/// other, as `pyca/bcrypt` and `jBCrypt` have it; what C programs cut there is refused rather than guessed.
fn bcrypt(cost: u32, password: &[u8], salt: &[u8], output: &mut [u8]) -> Result<(), HashProblem> {
    let salt: [u8; BCRYPT_SALT_BYTES] = salt.try_into().map_err(|_| PROBLEM)?;
    let mut key = Zeroizing::new(Vec::with_capacity(BCRYPT_KEY_BYTES + 1));
    key.extend(password.iter().take(BCRYPT_KEY_BYTES));
    key.push(0);
    key.truncate(BCRYPT_KEY_BYTES);
    let made = Zeroizing::new(bcrypt::bcrypt(cost, salt, &key));
    copy(&made[..output.len().min(made.len())], output)
}

/// What Django's `bcrypt_sha256` gives to bcrypt, so that long passwords count whole.
fn hex_of_sha256(password: &[u8]) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let made = digest::digest(Digest::Sha256.algorithm(), password);
    let mut hex = Zeroizing::new(Vec::with_capacity(2 * made.as_ref().len()));
    for byte in made.as_ref() {
        hex.push(DIGITS[usize::from(byte >> 4)]);
        hex.push(DIGITS[usize::from(byte & 15)]);
    }
    hex
}

fn scrypt(
    cost: ScryptCost,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
) -> Result<(), HashProblem> {
    let params = scrypt::Params::new(cost.log_n, cost.r, cost.p).map_err(|_| PROBLEM)?;
    scrypt::scrypt(password, salt, &params, output).map_err(|_| PROBLEM)
}

/// As <https://github.com/firebase/scrypt> has it: the signer key under AES-256-CTR from a counter of zero, with the
/// key that scrypt makes of the password and the salt with the separator behind it.
fn firebase(
    cost: ScryptCost,
    (separator, signer_key): (&[u8], &[u8]),
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
) -> Result<(), HashProblem> {
    let mut key = Zeroizing::new([0; AES_256_KEY_LEN]);
    scrypt(cost, password, &[salt, separator].concat(), &mut *key)?;
    copy(signer_key, output)?;
    let key = UnboundCipherKey::new(&AES_256, &*key).map_err(|_| PROBLEM)?;
    let from_zero = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    EncryptingKey::ctr(key)
        .and_then(|key| key.less_safe_encrypt(output, from_zero))
        .map_err(|_| PROBLEM)?;
    Ok(())
}

fn copy(made: &[u8], output: &mut [u8]) -> Result<(), HashProblem> {
    if made.len() != output.len() {
        return Err(PROBLEM);
    }
    output.copy_from_slice(made);
    Ok(())
}
