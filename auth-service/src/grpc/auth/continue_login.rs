//! `ContinueLogin`: meets the challenge of a login.

use std::mem;

use identity_guard::{deadline, status::Failure};
use identity_kit::{
    password::{HashError, NewPassword, candidate},
    violations::Violations,
};
use identity_proto::auth::v1::{
    ContinueLoginRequest, ContinueLoginResponse, continue_login_request::Answer,
    continue_login_response,
};
use tonic::Request;
use zeroize::Zeroizing;

use crate::{
    authority::{AuthError, Authority, IssuedTokens, MINT_ATTEMPTS},
    client::Whose,
    domain::{
        account::{Credential, PasswordChange, PasswordChangeCause, PasswordHash},
        challenge::{Challenge, Progress},
        client::RequestId,
        opaque_token::{OpaqueToken, TokenKind},
    },
    grpc::{convert::token_set, parse::opaque_text},
    store::challenges,
};

struct Continuation {
    /// Absent when the text cannot be a challenge token.
    token: Option<OpaqueToken>,
    new_password: Zeroizing<String>,
}

/// Serves the RPC.
pub(super) async fn continue_login(
    authority: &Authority,
    request: Request<ContinueLoginRequest>,
) -> Result<ContinueLoginResponse, Failure> {
    let continuation = parse(request.into_inner())?;
    let tokens = act(authority, continuation).await?;
    Ok(ContinueLoginResponse {
        result: Some(continue_login_response::Result::Tokens(token_set(tokens))),
    })
}

fn parse(mut message: ContinueLoginRequest) -> Result<Continuation, Failure> {
    let text = Zeroizing::new(mem::take(&mut message.challenge_token));
    let mut violations = Violations::new();
    opaque_text(&mut violations, "challenge_token", &text);
    violations.take("request_id", RequestId::parse(&message.request_id));
    let new_password = match message.answer.take() {
        Some(Answer::PasswordChange(mut change)) => {
            Zeroizing::new(mem::take(&mut change.new_password))
        }
        None => {
            violations.add("password_change", "must be set");
            Zeroizing::default()
        }
    };
    violations.finish()?;
    Ok(Continuation {
        token: OpaqueToken::parse(TokenKind::Challenge, &text).ok(),
        new_password,
    })
}

async fn act(authority: &Authority, continuation: Continuation) -> Result<IssuedTokens, AuthError> {
    let challenge = find(authority, continuation.token.as_ref()).await?;
    let credential = read(authority, &challenge).await?;
    authority.require_usable(&credential.access).await?;
    let new_password =
        NewPassword::parse(&continuation.new_password, &credential.forbidden_passwords)
            .map_err(AuthError::PasswordRefused)?;

    let (database, policy) = (&authority.database, &authority.policy);
    if !challenges::claim(database, &challenge.id, authority.now(), policy).await? {
        return Err(AuthError::Conflict);
    }
    let changed = change(
        authority,
        &challenge,
        credential,
        &continuation.new_password,
        &new_password,
    )
    .await;
    let outcome = match changed {
        Ok(credential) => conclude(authority, &challenge, credential).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        // Otherwise the next try would wait for the claim to lapse.
        let released = challenges::release(database, &challenge.id, authority.now()).await;
        if let Err(error) = released {
            tracing::info!(error = ?error, "a challenge stays claimed for a while");
        }
    }
    outcome
}

/// The challenge of a token, its attempt counted.
async fn find(authority: &Authority, token: Option<&OpaqueToken>) -> Result<Challenge, AuthError> {
    let token = token.ok_or(AuthError::ChallengeInvalid)?;
    let (database, policy) = (&authority.database, &authority.policy);
    let challenge = challenges::find(database.reader(), token.id())
        .await?
        .filter(|challenge| challenge.admits(token, authority.now(), policy))
        .ok_or(AuthError::ChallengeInvalid)?;
    if !challenges::count_attempt(database, &challenge.id, policy).await? {
        return Err(AuthError::ChallengeInvalid);
    }
    Ok(challenge)
}

/// Begins the session that the new password leads to, as long as the credential is the one that it made.
async fn conclude(
    authority: &Authority,
    challenge: &Challenge,
    mut credential: Credential,
) -> Result<IssuedTokens, AuthError> {
    for _ in 0..MINT_ATTEMPTS {
        let access = &credential.access;
        authority.require_usable(access).await?;
        let tokens = authority
            .open_session_after_password_change(access, &challenge.client, &challenge.id)
            .await?;
        if let Some(tokens) = tokens {
            return Ok(tokens);
        }
        let made = credential.version;
        credential = read(authority, challenge).await?;
        if credential.version != made {
            // Changed by another hand meanwhile: the answer to this challenge proves nothing any more.
            return Err(AuthError::ChallengeInvalid);
        }
    }
    Err(AuthError::RightsOutdated)
}

/// The credential with status and rights as they are now, not as they were at the login.
async fn read(authority: &Authority, challenge: &Challenge) -> Result<Credential, AuthError> {
    authority
        .directory
        .find_credential(Whose::User(&challenge.user_id))
        .await?
        .ok_or(AuthError::ChallengeInvalid)
}

/// Sets the new password, once: a repeated answer finds it set and goes on. Gives the credential that it made.
async fn change(
    authority: &Authority,
    challenge: &Challenge,
    credential: Credential,
    typed: &str,
    new_password: &NewPassword,
) -> Result<Credential, AuthError> {
    let is_current = is_current(authority, &credential, typed).await?;
    match (challenge.progress(credential.version), is_current) {
        (Progress::PerhapsDone, true) => return Ok(credential),
        (Progress::PerhapsDone, false) | (Progress::Overtaken, _) => {
            return Err(AuthError::ChallengeInvalid);
        }
        (Progress::Open, true) => return Err(AuthError::PasswordUnchanged),
        (Progress::Open, false) => {}
    }
    let phc = authority
        .hashes
        .hash(new_password, deadline::current())
        .await?;
    let password_hash = PasswordHash::from_phc(phc).ok_or(AuthError::Hash(HashError::Stopped))?;
    let change = PasswordChange {
        user_id: challenge.user_id.clone(),
        password_hash,
        expected_version: challenge.credential_version,
        // The same for every answer to this challenge: the operation happens once.
        operation_id: challenge.id.as_str().to_owned(),
        cause: PasswordChangeCause::Change,
    };
    authority.directory.set_password_hash(&change).await?;
    // Read in one piece: rights that were read alone could be from behind a further change of the password.
    let credential = read(authority, challenge).await?;
    if credential.password_hash.as_ref() == Some(&change.password_hash) {
        Ok(credential)
    } else {
        Err(AuthError::ChallengeInvalid)
    }
}

async fn is_current(
    authority: &Authority,
    credential: &Credential,
    typed: &str,
) -> Result<bool, AuthError> {
    let Some(hash) = &credential.password_hash else {
        return Ok(false);
    };
    let verified = authority
        .hashes
        .verify(
            candidate(typed),
            hash.as_phc().to_owned(),
            deadline::current(),
        )
        .await?;
    Ok(verified.matches)
}
