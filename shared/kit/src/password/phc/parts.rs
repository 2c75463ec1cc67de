//! The parts of a stored text: parameters by name, numbers and bytes, each in one spelling.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::HashProblem;

/// The values of parameters of these names, in this order and no others.
pub(in super::super) fn parameters<'t, const N: usize>(
    text: &'t str,
    names: [&str; N],
) -> Result<[&'t str; N], HashProblem> {
    const PROBLEM: HashProblem =
        HashProblem::Malformed("the parameters are not those of its scheme");
    let mut parts = text.split(',');
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = parts
            .next()
            .and_then(|part| part.strip_prefix(name))
            .ok_or(PROBLEM)?;
    }
    parts.next().is_none().then_some(values).ok_or(PROBLEM)
}

/// A decimal without sign and leading zeros.
pub(in super::super) fn number<T: std::str::FromStr>(digits: &str) -> Result<T, HashProblem> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    match digits.parse() {
        Ok(value) if canonical => Ok(value),
        _ => Err(HashProblem::Malformed("a parameter is not a plain number")),
    }
}

/// Base64 without padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Base64 without padding and stray bits.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, HashProblem> {
    STANDARD_NO_PAD
        .decode(text)
        .map_err(|_| HashProblem::Malformed("salt or hash is not canonical base64"))
}
