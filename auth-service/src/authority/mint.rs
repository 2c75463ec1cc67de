//! Minting: a session, its refresh token and its access token, on rights that no mint before has outdated.

use std::fmt;

use identity_guard::{clock::Timestamp, engine::AccessClaims};
use identity_kit::id::new_id;

use super::{AuthError, Authority};
use crate::{
    domain::{
        account::AccessSnapshot,
        client::ClientContext,
        id::{SessionId, TokenId, UserId},
        opaque_token::{OpaqueToken, TokenKind},
        session::Session,
        throttle::LoginKeys,
    },
    store::mint::{self, MintError, NewSession},
};

/// How often a session is tried to begin on rights that another mint outdates meanwhile.
pub const MINT_ATTEMPTS: usize = 3;
/// Direct permissions stand in the token up to this many: it stays small.
const FEW_PERMISSIONS: usize = 16;
/// Roles, and direct permissions, stand in the token up to this size of their JSON, in bytes: with both at their largest
/// it is still one that every verifier looks at.
const LARGEST_NAMES: usize = 2 * 1024;

/// The tokens of a session.
pub struct IssuedTokens {
    /// The JWT: secret.
    pub access_token: String,
    /// When it ends by itself.
    pub access_token_expires_at: Timestamp,
    /// The opaque token: secret.
    pub refresh_token: OpaqueToken,
    /// When it ends by itself.
    pub refresh_token_expires_at: Timestamp,
    /// The session.
    pub session_id: SessionId,
    /// The user.
    pub user_id: UserId,
}

/// A signed access token.
pub struct AccessToken {
    /// The JWT: secret.
    pub text: String,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IssuedTokens")
            .field("session_id", &self.session_id)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// What a session begins with.
#[derive(Clone, Copy)]
enum Cause<'a> {
    /// A right password; its attempt is still counted.
    Login(&'a LoginKeys),
    /// The answer to this challenge.
    Challenge(&'a TokenId),
}

impl Authority {
    /// Begins a session for a user whose identity was proven just now, and settles the attempt with it. `None` when
    /// another mint has used newer rights: nothing was written, and all that was read must be read again, the
    /// credential as well.
    ///
    /// # Errors
    ///
    /// A failure of the database or of the key.
    pub async fn open_session(
        &self,
        access: &AccessSnapshot,
        client: &ClientContext,
        attempt: &LoginKeys,
    ) -> Result<Option<IssuedTokens>, AuthError> {
        self.mint(access, client, Cause::Login(attempt)).await
    }

    /// The same in answer to a challenge that was met by a new password: all that the old one let in ends.
    ///
    /// # Errors
    ///
    /// As of [`Authority::open_session`], and [`AuthError::Conflict`] when the challenge is used.
    pub async fn open_session_after_password_change(
        &self,
        access: &AccessSnapshot,
        client: &ClientContext,
        challenge_id: &TokenId,
    ) -> Result<Option<IssuedTokens>, AuthError> {
        self.mint(access, client, Cause::Challenge(challenge_id))
            .await
    }

    async fn mint(
        &self,
        access: &AccessSnapshot,
        client: &ClientContext,
        cause: Cause<'_>,
    ) -> Result<Option<IssuedTokens>, AuthError> {
        let token = OpaqueToken::generate(TokenKind::Refresh, &*self.entropy);
        let new = NewSession {
            id: SessionId::trusted(new_id(&*self.entropy)),
            user_id: access.user_id.clone(),
            client: client.clone(),
            rights_at: access.position.clone(),
            token_id: token.id().clone(),
            token_hash: token.hash(),
            now: self.now(),
            attempt: match cause {
                Cause::Login(attempt) => Some(attempt.clone()),
                Cause::Challenge(_) => None,
            },
        };
        match self.begin(&new, cause).await {
            Ok(session) => self.issue(&session, access, token).map(Some),
            Err(MintError::RightsOutdated) => Ok(None),
            Err(MintError::ChallengeUsed) => Err(AuthError::Conflict),
            Err(MintError::Store(error)) => Err(error.into()),
        }
    }

    async fn begin(&self, new: &NewSession, cause: Cause<'_>) -> Result<Session, MintError> {
        let Cause::Challenge(challenge_id) = cause else {
            return mint::begin(&self.database, new, &self.policy).await;
        };
        let written =
            mint::begin_after_password_change(&self.database, challenge_id, new, &self.policy)
                .await?;
        let (session, events) = written.value;
        self.apply(&events);
        Ok(session)
    }

    fn issue(
        &self,
        session: &Session,
        access: &AccessSnapshot,
        refresh_token: OpaqueToken,
    ) -> Result<IssuedTokens, AuthError> {
        let access_token = self.access_token(session, access, session.token_expires_at)?;
        Ok(IssuedTokens {
            access_token: access_token.text,
            access_token_expires_at: access_token.expires_at,
            refresh_token,
            refresh_token_expires_at: session.idle_expires_at,
            session_id: session.id.clone(),
            user_id: session.user_id.clone(),
        })
    }

    /// Signs an access token of a session, which ends at `expires_at` or with the first right that it carries and that
    /// ends before. The session's row already holds at least this end.
    ///
    /// # Errors
    ///
    /// [`AuthError::Key`] when the key fails.
    pub fn access_token(
        &self,
        session: &Session,
        access: &AccessSnapshot,
        expires_at: Timestamp,
    ) -> Result<AccessToken, AuthError> {
        let now = self.now();
        let carried = access.carried(now, expires_at);
        let direct = &carried.direct;
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            sub: session.user_id.as_str().to_owned(),
            aud: vec![self.audience.clone()],
            exp: carried.expires_at.seconds(),
            iat: now.seconds(),
            jti: new_id(&*self.entropy),
            sid: session.id.as_str().to_owned(),
            client_id: session.client.client_id.as_str().to_owned(),
            roles: all_or_none(&carried.roles),
            perms: if direct.len() <= FEW_PERMISSIONS {
                all_or_none(direct)
            } else {
                Vec::new()
            },
            generation: session.generation,
            upos_epoch: access.position.epoch.clone(),
            upos_revision: access.position.revision,
            amr: session.amr.clone(),
            auth_time: session.authenticated_at.seconds(),
            acr: Some("pwd".to_owned()),
        };
        Ok(AccessToken {
            text: self.keys.sign(&claims)?,
            expires_at: carried.expires_at,
        })
    }
}

/// The names where they are small enough for a token. Some of them would look like all.
fn all_or_none(names: &[&str]) -> Vec<String> {
    // Each stands between quotes, with a comma.
    let size: usize = names.iter().map(|name| name.len() + 3).sum();
    if size <= LARGEST_NAMES {
        names.iter().map(|&name| name.to_owned()).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::all_or_none;

    #[test]
    fn names_stand_in_a_token_together_or_not_at_all() {
        let (letter, word, line) = ("n", "n".repeat(100), "n".repeat(125));
        for fitting in [vec![], vec![line.as_str(); 16], vec![letter; 512]] {
            assert_eq!(all_or_none(&fitting), fitting);
        }
        for large in [vec![line.as_str(); 17], vec![letter; 513], vec![&word; 62]] {
            assert!(all_or_none(&large).is_empty());
        }
    }
}
