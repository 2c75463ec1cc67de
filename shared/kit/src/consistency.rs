//! Consistency tokens: a position of a feed as opaque text that callers hand back and cannot make up.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use crate::{
    position::Position,
    secret::{join, sign},
};

const VERSION: u8 = 1;
const TAG_LENGTH: usize = 16;
/// Longest token that is looked at, in characters.
const MAX_TOKEN_LENGTH: usize = 256;

/// A consistency token that was changed, or belongs to another feed or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a revision of this service")]
pub struct InvalidConsistencyToken;

/// Makes and reads the consistency tokens of one feed.
pub struct ConsistencyTokens {
    feed: &'static str,
    key: hmac::Key,
}

impl ConsistencyTokens {
    /// The tokens of a feed; the same key may serve several feeds.
    #[must_use]
    pub fn new(feed: &'static str, key: [u8; 32]) -> Self {
        Self {
            feed,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        }
    }

    /// The token of a position.
    #[must_use]
    pub fn encode(&self, position: &Position) -> String {
        let mut token = vec![VERSION];
        token.extend_from_slice(&position.revision.to_be_bytes());
        token.extend_from_slice(position.epoch.as_bytes());
        let tag = self.tag(&token);
        token.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The position in a token of this feed.
    ///
    /// # Errors
    ///
    /// The token was not made for this feed with this key.
    pub fn decode(&self, token: &str) -> Result<Position, InvalidConsistencyToken> {
        self.parse(token).ok_or(InvalidConsistencyToken)
    }

    fn parse(&self, token: &str) -> Option<Position> {
        if token.len() > MAX_TOKEN_LENGTH {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (body, tag) = token.split_last_chunk::<TAG_LENGTH>()?;
        if !bool::from(self.tag(body).ct_eq(tag)) {
            return None;
        }
        let (revision, epoch) = body.strip_prefix(&[VERSION])?.split_first_chunk()?;
        Some(Position::new(
            str::from_utf8(epoch).ok()?,
            u64::from_be_bytes(*revision),
        ))
    }

    fn tag(&self, body: &[u8]) -> [u8; TAG_LENGTH] {
        let signed = sign(&self.key, &[&join(&[self.feed.as_bytes(), body])]);
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(&signed[..TAG_LENGTH]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_gives_its_position_back() {
        let tokens = ConsistencyTokens::new("user", [5; 32]);
        let position = Position::new("epoch", u64::MAX);
        assert_eq!(tokens.decode(&tokens.encode(&position)), Ok(position));
    }

    #[test]
    fn token_of_another_feed_or_key_is_refused() {
        let token = ConsistencyTokens::new("user", [5; 32]).encode(&Position::new("epoch", 3));
        for other in [
            ConsistencyTokens::new("auth", [5; 32]),
            ConsistencyTokens::new("user", [6; 32]),
        ] {
            assert_eq!(other.decode(&token), Err(InvalidConsistencyToken));
        }
    }

    #[test]
    fn changed_token_is_refused() {
        let tokens = ConsistencyTokens::new("user", [5; 32]);
        let token = tokens.encode(&Position::new("epoch", 3));
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.decode(&changed), Err(InvalidConsistencyToken));
        }
        for text in ["", "AQ", "%%%", &"A".repeat(300)] {
            assert_eq!(tokens.decode(text), Err(InvalidConsistencyToken));
        }
    }
}
