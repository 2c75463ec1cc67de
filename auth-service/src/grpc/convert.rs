//! Domain to wire.

use identity_proto::auth::v1 as wire;

use crate::{
    authority::IssuedTokens,
    domain::{
        session::Session,
        signing_key::{KeyState, SigningKey},
    },
};

/// The tokens of a session.
pub(super) fn token_set(tokens: IssuedTokens) -> wire::TokenSet {
    wire::TokenSet {
        access_token: tokens.access_token,
        access_token_expire_time: Some(tokens.access_token_expires_at.into()),
        refresh_token: tokens.refresh_token.to_text(),
        refresh_token_expire_time: Some(tokens.refresh_token_expires_at.into()),
        token_type: "Bearer".to_owned(),
        session_id: tokens.session_id.into_string(),
        user_id: tokens.user_id.into_string(),
    }
}

/// A session.
pub(super) fn session(session: Session) -> wire::Session {
    wire::Session {
        id: session.id.into_string(),
        user_id: session.user_id.into_string(),
        client_id: session.client.client_id.as_str().to_owned(),
        create_time: Some(session.created_at.into()),
        refresh_time: Some(session.refreshed_at.into()),
        idle_expire_time: Some(session.idle_expires_at.into()),
        expire_time: Some(session.expires_at.into()),
        amr: session.amr,
        ip_address: session.client.ip_address,
        user_agent: session.client.user_agent,
    }
}

/// A signing key.
pub(crate) fn signing_key(key: &SigningKey) -> wire::SigningKey {
    let state = match key.state {
        KeyState::Published => wire::SigningKeyState::Published,
        KeyState::Active => wire::SigningKeyState::Active,
        KeyState::Retired => wire::SigningKeyState::Retired,
        KeyState::Withdrawn => wire::SigningKeyState::Withdrawn,
    };
    wire::SigningKey {
        key_id: key.id.clone(),
        algorithm: key.algorithm.as_str().to_owned(),
        state: state.into(),
        public_jwk: key.public_jwk.clone(),
        create_time: Some(key.created_at.into()),
        activate_time: key.activated_at.map(Into::into),
        expire_time: key.expires_at.map(Into::into),
    }
}

/// A count.
pub(super) fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
