//! The strict verifier: is this text an access token that our issuer signed for us and that lives now?

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    claims::AccessClaims,
    header::Header,
    keyset::{KeyLookup, KeySet},
};
use crate::clock::Timestamp;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The leeway that clocks of two machines get by default.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// RFC 8725: more would be a longer life by another name.
const MAX_LEEWAY: Duration = Duration::from_mins(1);

/// Whose tokens are accepted, and for whom they must be.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// The exact `iss`.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// The leeway for `exp`, `nbf` and `iat`; at most a minute counts.
    pub leeway: Duration,
}

impl VerifierConfig {
    /// With the default leeway of 30 seconds.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            leeway: DEFAULT_LEEWAY,
        }
    }
}

/// Why a token is refused. For logs and tests: a caller is told a [`Refusal`](super::Refusal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is too large")]
    TooLarge,
    /// Not three segments of canonical base64url, or no JSON objects in them.
    #[error("the token is malformed")]
    Malformed,
    /// A member of the header is absent, unsupported or not allowed.
    #[error("the token's header is unsupported: {0}")]
    UnsupportedHeader(&'static str),
    /// No key with that `kid`.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The key did not sign it.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is absent, of another type, or says something else than it must.
    #[error("the token's claim {0} is absent or wrong")]
    Claims(&'static str),
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Its key was withdrawn.
    #[error("the token was revoked")]
    Revoked,
}

/// A token that was verified. There is no other way to have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    claims: AccessClaims,
    not_before: Option<i64>,
    kid: String,
    key_fingerprint: [u8; 32],
}

impl VerifiedToken {
    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &AccessClaims {
        &self.claims
    }

    /// The key that signed it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The same token with other claims.
    #[cfg(test)]
    pub(crate) fn with_claims(&self, claims: AccessClaims) -> Self {
        Self {
            claims,
            ..self.clone()
        }
    }

    /// When it ends by itself.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.claims.exp)
    }
}

/// Verifies access tokens by RFC 9068, as strictly as RFC 8725 asks.
#[derive(Clone, Debug)]
pub struct Verifier {
    config: VerifierConfig,
}

impl Verifier {
    /// A verifier.
    #[must_use]
    pub fn new(config: VerifierConfig) -> Self {
        let leeway = config.leeway.min(MAX_LEEWAY);
        Self {
            config: VerifierConfig { leeway, ..config },
        }
    }

    /// The leeway that counts.
    #[must_use]
    pub fn leeway(&self) -> Duration {
        self.config.leeway
    }

    /// Verifies a token against a key set at a moment.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it. Claims are looked at only after the signature.
    pub fn verify(
        &self,
        token: &str,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<VerifiedToken, TokenError> {
        let parts = Parts::split(token)?;
        let header = Header::parse(&parts.header)?;
        let key = match keys.find(&header.key_id) {
            KeyLookup::Valid(key) => key,
            KeyLookup::Withdrawn => return Err(TokenError::Revoked),
            KeyLookup::Unknown => return Err(TokenError::UnknownKey),
        };
        if header.algorithm != key.algorithm() {
            return Err(TokenError::UnsupportedHeader("alg"));
        }
        if !key.has_signed(parts.signed, &parts.signature) {
            return Err(TokenError::Signature);
        }
        let (claims, not_before) = AccessClaims::read(&parts.payload)?;
        self.check_addresses(&claims)?;
        let verified = VerifiedToken {
            claims,
            not_before,
            kid: header.key_id,
            key_fingerprint: *key.fingerprint(),
        };
        self.check_times(&verified, now)?;
        Ok(verified)
    }

    /// Checks again what can have changed since a token was verified: its times and its key.
    pub(super) fn recheck(
        &self,
        token: &VerifiedToken,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        self.check_times(token, now)?;
        match keys.find(&token.kid) {
            KeyLookup::Valid(key) if *key.fingerprint() == token.key_fingerprint => Ok(()),
            KeyLookup::Withdrawn => Err(TokenError::Revoked),
            KeyLookup::Valid(_) | KeyLookup::Unknown => Err(TokenError::UnknownKey),
        }
    }

    fn check_addresses(&self, claims: &AccessClaims) -> Result<(), TokenError> {
        if claims.iss != self.config.issuer {
            return Err(TokenError::Claims("iss"));
        }
        if !claims.aud.contains(&self.config.audience) {
            return Err(TokenError::Claims("aud"));
        }
        Ok(())
    }

    fn check_times(&self, token: &VerifiedToken, now: Timestamp) -> Result<(), TokenError> {
        if token.expires_at().plus(self.config.leeway) <= now {
            return Err(TokenError::Expired);
        }
        let begins = token.claims.iat.max(token.not_before.unwrap_or(i64::MIN));
        if Timestamp::from_seconds(begins) > now.plus(self.config.leeway) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// A token in its three parts, decoded.
struct Parts<'a> {
    /// What the signature is over: the first two segments as they came.
    signed: &'a [u8],
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        // A further dot is in the payload, where it is no base64url.
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        Ok(Self {
            signed: signed.as_bytes(),
            header: segment(header)?,
            payload: segment(payload)?,
            signature: segment(signature)?,
        })
    }
}

/// Decodes base64url in its one canonical form: no padding, and no bits left over that are not zero.
fn segment(text: &str) -> Result<Vec<u8>, TokenError> {
    if text.is_empty() {
        return Err(TokenError::Malformed);
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::Malformed)
}
