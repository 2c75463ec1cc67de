//! The header of a token: three members, and no way to say anything else.

use super::{algorithm::SignatureAlgorithm, json::Members, verifier::TokenError};

/// The longest `kid`, in characters.
pub(super) const MAX_KEY_ID_CHARS: usize = 128;

/// Members that name a key, a compression or an extension: each has been a hole in some verifier. They are told
/// apart only for the log; every other unknown member is refused just the same.
const REFUSED: [&str; 9] = [
    "crit", "jku", "jwk", "x5u", "x5c", "x5t", "b64", "zip", "cty",
];

/// What a header may say.
pub(super) struct Header {
    /// The algorithm, which must be the key's own.
    pub algorithm: SignatureAlgorithm,
    /// Which key.
    pub key_id: String,
}

impl Header {
    pub(super) fn parse(json: &[u8]) -> Result<Self, TokenError> {
        let mut members = Members::parse(json).ok_or(TokenError::Malformed)?;
        let algorithm = members.take_text("alg");
        let key_id = members.take_text("kid");
        let kind = members.take_text("typ");
        if let Some(name) = members.names().next() {
            let name = REFUSED.into_iter().find(|refused| *refused == name);
            return Err(TokenError::UnsupportedHeader(name.unwrap_or("unknown")));
        }
        if !kind.as_deref().is_some_and(is_access_token) {
            return Err(TokenError::UnsupportedHeader("typ"));
        }
        let algorithm = algorithm
            .and_then(|name| SignatureAlgorithm::parse(&name))
            .ok_or(TokenError::UnsupportedHeader("alg"))?;
        let key_id = key_id
            .filter(|id| is_key_id(id))
            .ok_or(TokenError::UnsupportedHeader("kid"))?;
        Ok(Self { algorithm, key_id })
    }
}

/// Whether a text can be a `kid`.
pub(super) fn is_key_id(text: &str) -> bool {
    // A character has at most four bytes: the count stops early on a long text.
    !text.is_empty()
        && text.len() <= MAX_KEY_ID_CHARS * 4
        && text.chars().count() <= MAX_KEY_ID_CHARS
}

/// RFC 9068 section 4: `at+jwt`, with or without the prefix that a media type may leave out, in any case.
fn is_access_token(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("at+jwt") || kind.eq_ignore_ascii_case("application/at+jwt")
}
