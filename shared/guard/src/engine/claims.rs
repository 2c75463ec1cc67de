//! The claims of an access token, each of exactly one JSON type.

use serde::Serialize;
use serde_json::Value;

use super::{json::Members, verifier::TokenError};

/// What an access token says, as RFC 9068 names it and with a few claims of our own.
///
/// It serialises to the token's payload. It is read back by [`AccessClaims::from_json`] alone: what a derived reader
/// forgives (duplicate members, for one) must not be forgiven here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccessClaims {
    /// The issuer.
    pub iss: String,
    /// The user's id.
    pub sub: String,
    /// Whom the token is for.
    pub aud: Vec<String>,
    /// When it ends: seconds since the Unix epoch.
    pub exp: i64,
    /// When it was issued: seconds since the Unix epoch.
    pub iat: i64,
    /// The token's own id.
    pub jti: String,
    /// The session.
    pub sid: String,
    /// The program that the user logged in with.
    pub client_id: String,
    /// Names of the user's roles when it was issued: all of them, or none where together they are longer than 2 KiB.
    /// They are told, and nothing decides by them: whoever needs the truth asks for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Permissions granted to the user directly, when they are few: at most 16 and 2 KiB, or none. Nothing decides by
    /// them either.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub perms: Vec<String>,
    /// The subject's generation: older ones are refused.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// The access version, first half: the epoch of the user feed when the rights were read.
    #[serde(rename = "uve")]
    pub upos_epoch: String,
    /// The access version, second half: the revision of the user feed.
    #[serde(rename = "uvr")]
    pub upos_revision: u64,
    /// How the user authenticated (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// When the user authenticated: seconds since the Unix epoch.
    pub auth_time: i64,
    /// How strong that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
}

impl AccessClaims {
    /// Reads a payload: every required claim present, of its one type and not empty; unknown claims are passed over.
    ///
    /// # Errors
    ///
    /// [`TokenError::Malformed`] for what is no JSON object or has a member twice, [`TokenError::Claims`] with the
    /// name of the claim that is absent or of another type.
    pub fn from_json(payload: &[u8]) -> Result<Self, TokenError> {
        Self::read(payload).map(|(claims, _)| claims)
    }

    /// The claims and `nbf`, which we never issue and yet honour.
    pub(super) fn read(payload: &[u8]) -> Result<(Self, Option<i64>), TokenError> {
        let mut members = Members::parse(payload).ok_or(TokenError::Malformed)?;
        let claims = Self {
            iss: text(&mut members, "iss")?,
            sub: text(&mut members, "sub")?,
            aud: audience(&mut members)?,
            exp: integer(&mut members, "exp")?,
            iat: integer(&mut members, "iat")?,
            jti: text(&mut members, "jti")?,
            sid: text(&mut members, "sid")?,
            client_id: text(&mut members, "client_id")?,
            roles: optional(&mut members, "roles", texts)?.unwrap_or_default(),
            perms: optional(&mut members, "perms", texts)?.unwrap_or_default(),
            generation: counter(&mut members, "gen")?,
            upos_epoch: text(&mut members, "uve")?,
            upos_revision: counter(&mut members, "uvr")?,
            amr: optional(&mut members, "amr", texts)?.unwrap_or_default(),
            auth_time: integer(&mut members, "auth_time")?,
            acr: optional(&mut members, "acr", one_text)?,
        };
        let not_before = optional(&mut members, "nbf", |value| value.as_i64())?;
        Ok((claims, not_before))
    }
}

fn text(members: &mut Members, name: &'static str) -> Result<String, TokenError> {
    members
        .take_text(name)
        .filter(|text| !text.is_empty())
        .ok_or(TokenError::Claims(name))
}

fn integer(members: &mut Members, name: &'static str) -> Result<i64, TokenError> {
    required(members, name)?
        .as_i64()
        .ok_or(TokenError::Claims(name))
}

fn counter(members: &mut Members, name: &'static str) -> Result<u64, TokenError> {
    required(members, name)?
        .as_u64()
        .ok_or(TokenError::Claims(name))
}

/// `aud` is a string or an array of strings (RFC 7519 section 4.1.3).
fn audience(members: &mut Members) -> Result<Vec<String>, TokenError> {
    match required(members, "aud")? {
        Value::String(one) => Some(vec![one]),
        several => texts(several),
    }
    .ok_or(TokenError::Claims("aud"))
}

fn required(members: &mut Members, name: &'static str) -> Result<Value, TokenError> {
    members.take(name).ok_or(TokenError::Claims(name))
}

/// An absent claim is `None`; one of another type, `null` among them, is an error.
fn optional<T>(
    members: &mut Members,
    name: &'static str,
    read: impl Fn(Value) -> Option<T>,
) -> Result<Option<T>, TokenError> {
    members
        .take(name)
        .map(|value| read(value).ok_or(TokenError::Claims(name)))
        .transpose()
}

fn one_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.into_iter().map(one_text).collect(),
        _ => None,
    }
}
