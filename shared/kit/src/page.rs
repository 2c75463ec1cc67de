//! Paging: the size a caller may ask for, and the sealed token that says where the next page begins.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    entropy::SharedEntropy,
    secret::{Sealer, join},
};

/// Longest token that is looked at, in characters.
const MAX_TOKEN_LENGTH: usize = 4_096;

/// The `page_size` of a list request.
#[derive(Clone, Copy, Debug)]
pub struct PageSize;

impl PageSize {
    /// Items of a page when the caller does not say.
    pub const DEFAULT: u64 = 50;
    /// Most items of a page; more is clamped.
    pub const MAX: u64 = 500;

    /// The number of items: zero is the default, above the maximum is clamped.
    ///
    /// # Errors
    ///
    /// What is wrong with a negative size, as the description of the violated field.
    pub fn parse(requested: i32) -> Result<u64, &'static str> {
        match u64::try_from(requested) {
            Ok(0) => Ok(Self::DEFAULT),
            Ok(size) => Ok(size.min(Self::MAX)),
            Err(_) => Err("must not be negative"),
        }
    }
}

/// A page token that was changed, or belongs to another caller, query or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a token of this list")]
pub struct InvalidPageToken;

/// Makes and opens page tokens: a cursor, encrypted and bound to its caller and query.
pub struct PageTokens {
    sealer: Sealer,
    entropy: SharedEntropy,
}

impl PageTokens {
    /// Uses a key of its own.
    #[must_use]
    pub fn new(key: [u8; 32], entropy: SharedEntropy) -> Self {
        Self {
            sealer: Sealer::new(key),
            entropy,
        }
    }

    /// The token of the page that begins after `cursor`.
    ///
    /// `query` is whatever distinguishes this list from others: method, filters, order.
    #[must_use]
    pub fn seal<C: Serialize>(&self, caller: &str, query: &[u8], cursor: &C) -> String {
        let Ok(cursor) = serde_json::to_vec(cursor) else {
            unreachable!("cursors are plain data, which JSON always takes");
        };
        let context = join(&[caller.as_bytes(), query]);
        URL_SAFE_NO_PAD.encode(self.sealer.seal(&context, &cursor, &*self.entropy))
    }

    /// The cursor in a token of the same caller and query.
    ///
    /// # Errors
    ///
    /// The token is not one that was made for them.
    pub fn open<C: DeserializeOwned>(
        &self,
        caller: &str,
        query: &[u8],
        token: &str,
    ) -> Result<C, InvalidPageToken> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(InvalidPageToken);
        }
        let sealed = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| InvalidPageToken)?;
        let context = join(&[caller.as_bytes(), query]);
        let cursor = self
            .sealer
            .open(&context, &sealed)
            .map_err(|_| InvalidPageToken)?;
        serde_json::from_slice(&cursor).map_err(|_| InvalidPageToken)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn tokens() -> PageTokens {
        PageTokens::new([3; 32], Arc::new(SystemEntropy))
    }

    #[test]
    fn token_gives_its_cursor_back() {
        let token = tokens().seal("user-1", b"list", &(17_u64, "id".to_owned()));
        let cursor: (u64, String) = tokens().open("user-1", b"list", &token).unwrap();
        assert_eq!(cursor, (17, "id".to_owned()));
    }

    #[test]
    fn token_is_refused_for_another_caller_or_query() {
        let token = tokens().seal("user-1", b"list", &1_u64);
        for (caller, query) in [
            ("user-2", &b"list"[..]),
            ("user-1", b"other"),
            ("user-1l", b"ist"),
        ] {
            assert_eq!(
                tokens().open::<u64>(caller, query, &token),
                Err(InvalidPageToken)
            );
        }
    }

    #[test]
    fn changed_token_is_refused() {
        let token = tokens().seal("user-1", b"list", &1_u64);
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                tokens().open::<u64>("user-1", b"list", &changed),
                Err(InvalidPageToken)
            );
        }
        for text in ["", "A", "%%%", "AAAA", &"A".repeat(5_000)] {
            assert_eq!(
                tokens().open::<u64>("user-1", b"list", text),
                Err(InvalidPageToken)
            );
        }
    }

    #[test]
    fn page_size_is_defaulted_clamped_or_refused() {
        assert_eq!(PageSize::parse(0), Ok(50));
        assert_eq!(PageSize::parse(7), Ok(7));
        assert_eq!(PageSize::parse(i32::MAX), Ok(500));
        assert!(PageSize::parse(-1).is_err());
    }
}
