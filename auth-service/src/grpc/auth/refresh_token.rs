//! `RefreshToken`: trades a refresh token for new tokens, once.

use identity_guard::status::Failure;
use identity_kit::{secret::Sealer, violations::Violations};
use identity_proto::auth::v1::{RefreshTokenRequest, RefreshTokenResponse};
use tonic::Request;
use zeroize::Zeroizing;

use crate::{
    authority::{AuthError, Authority, IssuedTokens},
    domain::{
        account::AccessSnapshot,
        client::{ClientId, RequestId},
        id::TokenId,
        opaque_token::{OpaqueToken, TokenKind},
        refresh::{Presented, StoredRefreshToken, Verdict, judge},
        retry_key::retry_key,
        session::SessionTimes,
    },
    grpc::{convert::token_set, parse::opaque_text},
    store::refresh::{self, Rotation},
};

/// How often the token is judged anew after something changed between the judgement and the write.
const ATTEMPTS: usize = 4;

/// Serves the RPC.
pub(super) async fn refresh_token(
    authority: &Authority,
    request: Request<RefreshTokenRequest>,
) -> Result<RefreshTokenResponse, Failure> {
    let presented = parse(request.into_inner())?;
    let tokens = act(authority, presented).await?;
    Ok(RefreshTokenResponse {
        tokens: Some(token_set(tokens)),
    })
}

/// What is presented; `None` when the text cannot be a refresh token.
fn parse(mut message: RefreshTokenRequest) -> Result<Option<Presented>, Failure> {
    let text = Zeroizing::new(std::mem::take(&mut message.refresh_token));
    let mut violations = Violations::new();
    opaque_text(&mut violations, "refresh_token", &text);
    let client_id = violations.take("client_id", ClientId::parse(&message.client_id));
    let request_id = violations.take("request_id", RequestId::parse(&message.request_id));
    violations.finish()?;
    let token = OpaqueToken::parse(TokenKind::Refresh, &text).ok();
    Ok(match (token, client_id, request_id) {
        (Some(token), Some(client_id), Some(request_id)) => Some(Presented {
            token,
            client_id,
            request_id,
        }),
        _ => None,
    })
}

async fn act(
    authority: &Authority,
    presented: Option<Presented>,
) -> Result<IssuedTokens, AuthError> {
    let presented = presented.ok_or(AuthError::RefreshTokenInvalid)?;
    for _ in 0..ATTEMPTS {
        let stored = refresh::find(authority.database.reader(), presented.token.id())
            .await?
            .ok_or(AuthError::RefreshTokenInvalid)?;
        let verdict = judge(&stored, &presented, authority.now(), &authority.policy);
        let tokens = match verdict {
            Verdict::Refused => return Err(AuthError::RefreshTokenInvalid),
            Verdict::Reused => return Err(end_family(authority, &stored).await),
            Verdict::Rotate => rotate(authority, &presented, &stored).await?,
            Verdict::Retry => regain(authority, &presented, &stored).await?,
        };
        if let Some(tokens) = tokens {
            return Ok(tokens);
        }
    }
    Err(AuthError::Conflict)
}

/// The first use. `None` when the write found something changed.
async fn rotate(
    authority: &Authority,
    presented: &Presented,
    stored: &StoredRefreshToken,
) -> Result<Option<IssuedTokens>, AuthError> {
    let access = authority
        .usable_access(&stored.session.user_id)
        .await?
        .ok_or(AuthError::RefreshTokenInvalid)?;
    let successor = OpaqueToken::generate(TokenKind::Refresh, &*authority.entropy);
    let sealed = seal(authority, presented, &successor);
    let rotation = rotation(authority, presented, stored, &access, &successor, sealed);
    if !refresh::rotate(&authority.database, &rotation, &authority.policy).await? {
        return Ok(None);
    }
    let access_token =
        authority.access_token(&stored.session, &access, rotation.times.token_expires_at)?;
    Ok(Some(IssuedTokens {
        access_token: access_token.text,
        access_token_expires_at: access_token.expires_at,
        refresh_token: successor,
        refresh_token_expires_at: rotation.times.idle_expires_at,
        session_id: stored.session.id.clone(),
        user_id: stored.session.user_id.clone(),
    }))
}

/// The retry of a lost answer: the same successor. `None` when the write found something changed.
async fn regain(
    authority: &Authority,
    presented: &Presented,
    stored: &StoredRefreshToken,
) -> Result<Option<IssuedTokens>, AuthError> {
    let access = authority
        .usable_access(&stored.session.user_id)
        .await?
        .ok_or(AuthError::RefreshTokenInvalid)?;
    let rotation = rotation(
        authority,
        presented,
        stored,
        &access,
        &presented.token,
        Vec::new(),
    );
    let rotation = Rotation {
        times: SessionTimes::again(rotation.now, &stored.session, &authority.policy),
        ..rotation
    };
    let regained = refresh::regain(&authority.database, &rotation, &authority.policy).await?;
    let Some(regained) = regained else {
        return Ok(None);
    };
    let successor = Sealer::new(*retry_key(&presented.token))
        .open(
            stored.current_token_id.as_str().as_bytes(),
            &regained.sealed_successor,
        )
        .ok()
        .and_then(|secret| {
            let id = TokenId::trusted(stored.current_token_id.as_str());
            OpaqueToken::from_parts(TokenKind::Refresh, id, &secret)
        });
    // Another successor than the one that was judged: judge anew.
    let Some(successor) = successor else {
        return Ok(None);
    };
    tracing::info!(session_id = %stored.session.id, "a lost refresh was given again");
    let access_token =
        authority.access_token(&stored.session, &access, rotation.times.token_expires_at)?;
    Ok(Some(IssuedTokens {
        access_token: access_token.text,
        access_token_expires_at: access_token.expires_at,
        refresh_token: successor,
        refresh_token_expires_at: regained.idle_expires_at,
        session_id: stored.session.id.clone(),
        user_id: stored.session.user_id.clone(),
    }))
}

/// Somebody has used the token before: whoever it was, the session ends.
async fn end_family(authority: &Authority, stored: &StoredRefreshToken) -> AuthError {
    let session = &stored.session;
    tracing::warn!(session_id = %session.id, user_id = %session.user_id, "refresh token reused");
    match authority.end_session(&session.user_id, &session.id).await {
        Ok(_) => AuthError::RefreshTokenInvalid,
        Err(error) => error,
    }
}

/// The successor under a key that only the presented token gives.
fn seal(authority: &Authority, presented: &Presented, successor: &OpaqueToken) -> Vec<u8> {
    Sealer::new(*retry_key(&presented.token)).seal(
        successor.id().as_str().as_bytes(),
        successor.secret(),
        &*authority.entropy,
    )
}

fn rotation(
    authority: &Authority,
    presented: &Presented,
    stored: &StoredRefreshToken,
    access: &AccessSnapshot,
    successor: &OpaqueToken,
    sealed_successor: Vec<u8>,
) -> Rotation {
    let now = authority.now();
    Rotation {
        session_id: stored.session.id.clone(),
        token_id: presented.token.id().clone(),
        request_id: presented.request_id.clone(),
        successor_id: successor.id().clone(),
        successor_hash: successor.hash(),
        sealed_successor,
        rights_at: access.position.clone(),
        now,
        times: SessionTimes::at(now, stored.session.expires_at, &authority.policy),
    }
}
