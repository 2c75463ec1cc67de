//! Login: proves an identity by username or e-mail address and password.

use std::{mem, sync::Arc, time::Duration};

use identity_guard::status::Failure;
use identity_kit::{
    context::{peer_ip, peer_network, user_agent},
    password::{Candidate, candidate},
    violations::Violations,
};
use identity_proto::auth::v1::{
    AssuranceDemand, Challenge as WireChallenge, ChallengeKind as WireKind, LoginRequest,
    LoginResponse, login_response,
};
use tonic::Request;
use zeroize::Zeroizing;

use crate::{
    authority::{AuthError, Authority, IssuedTokens, MINT_ATTEMPTS, Proof},
    domain::{
        account::{PasswordChange, PasswordChangeCause, PasswordHash},
        challenge::Challenge,
        client::{ClientContext, ClientId, RequestId},
        identifier::LoginIdentifier,
        opaque_token::{OpaqueToken, TokenKind},
    },
    grpc::convert::token_set,
    store::challenges,
};

/// The longest password that is looked at, in bytes.
const MAX_PASSWORD_LENGTH: usize = 1024;
/// The longest device token, in characters.
const MAX_DEVICE_TOKEN_LENGTH: usize = 512;
/// How long hashing anew may wait for its turn: nobody waits for it.
const REHASH_PATIENCE: Duration = Duration::from_secs(30);

struct Login {
    identifier: LoginIdentifier,
    password: Zeroizing<String>,
    client: ClientContext,
    network: String,
}

enum Outcome {
    Tokens(IssuedTokens),
    Challenge(OpaqueToken, Challenge),
}

/// Serves the RPC.
pub(super) async fn login(
    authority: &Arc<Authority>,
    request: Request<LoginRequest>,
) -> Result<LoginResponse, Failure> {
    let login = parse(request)?;
    let outcome = act(authority, login).await?;
    Ok(render(outcome))
}

fn parse(mut request: Request<LoginRequest>) -> Result<Login, Failure> {
    let network = peer_network(&request);
    let ip_address = peer_ip(&request).map_or_else(String::new, |ip| ip.to_string());
    let user_agent = user_agent(&request);
    let message = request.get_mut();
    let password = Zeroizing::new(mem::take(&mut message.password));
    let mut violations = Violations::new();
    let identifier = violations.take("identifier", LoginIdentifier::parse(&message.identifier));
    if password.is_empty() || password.len() > MAX_PASSWORD_LENGTH {
        violations.add("password", "must be 1 to 1024 bytes");
    }
    let client_id = violations.take("client_id", ClientId::parse(&message.client_id));
    violations.take("request_id", RequestId::parse(&message.request_id));
    let device_token = &message.device_token;
    if device_token.len() > MAX_DEVICE_TOKEN_LENGTH
        || !device_token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        violations.add("device_token", "must be at most 512 printable characters");
    }
    assurance(&mut violations, message.assurance.as_ref());
    violations.finish()?;
    match (identifier, client_id) {
        (Some(identifier), Some(client_id)) => Ok(Login {
            identifier,
            password,
            client: ClientContext::new(client_id, ip_address, &user_agent),
            network,
        }),
        _ => Err(Failure::internal()),
    }
}

/// A login is always fresh and by password: only what is more than that is refused.
fn assurance(violations: &mut Violations, demand: Option<&AssuranceDemand>) {
    let Some(demand) = demand else { return };
    if !matches!(demand.acr.as_str(), "" | "pwd") {
        violations.add("assurance.acr", "must be empty or `pwd`");
    }
    if demand
        .max_age
        .is_some_and(|age| age.seconds < 0 || age.nanos < 0)
    {
        violations.add("assurance.max_age", "must not be negative");
    }
}

async fn act(authority: &Arc<Authority>, login: Login) -> Result<Outcome, AuthError> {
    let password = candidate(&login.password);
    let mut proof = authority
        .prove(&login.identifier, password.clone(), &login.network)
        .await?;
    let outcome = conclude(authority, &mut proof, password.clone(), &login.client).await;
    match &outcome {
        Ok(Outcome::Tokens(_)) if proof.needs_rehash => {
            tokio::spawn(rehash(Arc::clone(authority), proof, password));
        }
        // What has become a wrong password stays counted.
        Ok(_) | Err(AuthError::InvalidCredentials) => {}
        // No failure, and no success either: what was counted before stays.
        Err(AuthError::Unusable(_) | AuthError::Directory(_) | AuthError::Hash(_)) => {
            authority.give_back(&proof).await;
        }
        // The password was right, whatever stood in the way of a session.
        Err(_) => authority.settle(&proof).await,
    }
    outcome
}

/// What a right password leads to.
async fn conclude(
    authority: &Authority,
    proof: &mut Proof,
    password: Candidate,
    client: &ClientContext,
) -> Result<Outcome, AuthError> {
    for _ in 0..MINT_ATTEMPTS {
        let access = &proof.credential.access;
        // Only the proof opens the account's state.
        authority.require_usable(access).await?;
        let outcome = if proof.credential.password_change_required {
            challenge(authority, proof, client.clone()).await?
        } else {
            let tokens = authority.open_session(access, client, &proof.attempt);
            tokens.await?.map(Outcome::Tokens)
        };
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
        authority.renew(proof, password.clone()).await?;
    }
    Err(AuthError::RightsOutdated)
}

/// A challenge; none when the user has changed since the credential was read.
async fn challenge(
    authority: &Authority,
    proof: &Proof,
    client: ClientContext,
) -> Result<Option<Outcome>, AuthError> {
    let now = authority.now();
    let token = OpaqueToken::generate(TokenKind::Challenge, &*authority.entropy);
    let access = &proof.credential.access;
    let challenge = Challenge::open(
        &token,
        access.user_id.clone(),
        proof.credential.version,
        client,
        now,
        &authority.policy,
    );
    let is_kept = challenges::insert(
        &authority.database,
        &challenge,
        &access.position,
        &proof.attempt,
        &authority.policy,
        now,
    )
    .await?;
    Ok(is_kept.then_some(Outcome::Challenge(token, challenge)))
}

/// Hashes the same password under the current policy, also one that may not be chosen any more: as it is, its hash
/// would stay weak for ever. The user is logged in already: a failure changes nothing.
async fn rehash(authority: Arc<Authority>, proof: Proof, password: Candidate) {
    let deadline = tokio::time::Instant::now() + REHASH_PATIENCE;
    let hashed = authority
        .hashes
        .hash_proven(&password, Some(deadline))
        .await;
    let Some(password_hash) = hashed.ok().and_then(PasswordHash::from_phc) else {
        return;
    };
    let change = PasswordChange {
        user_id: proof.credential.access.user_id,
        password_hash,
        expected_version: proof.credential.version,
        operation_id: identity_kit::id::new_id(&*authority.entropy),
        cause: PasswordChangeCause::Rehash,
    };
    if let Err(error) = authority.directory.set_password_hash(&change).await {
        tracing::info!(user_id = %change.user_id, %error, "a password was not hashed anew");
    }
}

fn render(outcome: Outcome) -> LoginResponse {
    let result = match outcome {
        Outcome::Tokens(tokens) => login_response::Result::Tokens(token_set(tokens)),
        Outcome::Challenge(token, challenge) => login_response::Result::Challenge(WireChallenge {
            challenge_token: token.to_text(),
            kind: WireKind::PasswordChange.into(),
            expire_time: Some(challenge.expires_at.into()),
        }),
    };
    LoginResponse {
        result: Some(result),
    }
}

#[cfg(test)]
mod tests {
    use identity_proto::auth::v1::{AssuranceDemand, LoginRequest};
    use tonic::Request;
    use tonic_types::StatusExt as _;

    use super::parse;

    fn good() -> LoginRequest {
        LoginRequest {
            identifier: "ada".to_owned(),
            password: "p".to_owned(),
            ..LoginRequest::default()
        }
    }

    #[test]
    fn every_bad_field_is_named_in_one_answer() {
        assert!(parse(Request::new(good())).is_ok());
        let bad = LoginRequest {
            identifier: "a\0".to_owned(),
            password: String::new(),
            client_id: "A".to_owned(),
            device_token: "é".to_owned(),
            request_id: "\n".to_owned(),
            assurance: Some(AssuranceDemand {
                acr: "mfa".to_owned(),
                max_age: None,
            }),
        };
        let status = tonic::Status::from(parse(Request::new(bad)).err().unwrap());
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "identifier",
                "password",
                "client_id",
                "request_id",
                "device_token",
                "assurance.acr"
            ]
        );
    }
}
