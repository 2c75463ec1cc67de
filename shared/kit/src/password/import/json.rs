//! Forms of JSON: a credential of Keycloak, a user of Firebase.

use std::collections::HashMap;

use argon2::{Algorithm, Version};
use serde::Deserialize;

use super::{
    super::{
        phc::{self, StoredHash},
        policy::PasswordPolicy,
        scheme::{Digest, HashProblem, Scheme, ScryptCost},
    },
    base64,
};

pub(super) fn read(text: &str) -> Result<StoredHash, HashProblem> {
    // The cause may repeat the text, so it goes no further.
    let form = serde_json::from_str(text).map_err(|_| HashProblem::Unknown)?;
    match form {
        Form::Keycloak(credential) => keycloak(&credential),
        Form::Firebase(user) => firebase(&user),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Keycloak(Keycloak),
    Firebase(Firebase),
}

/// Keycloak's `CredentialRepresentation`; the two parts are JSON in a string, as an export of a realm has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keycloak {
    credential_data: String,
    secret_data: String,
}

/// Keycloak's `PasswordCredentialData`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialData {
    hash_iterations: u32,
    algorithm: String,
    #[serde(default)]
    additional_parameters: Option<HashMap<String, Vec<String>>>,
}

/// Keycloak's `PasswordSecretData`.
#[derive(Deserialize)]
struct SecretData {
    value: String,
    salt: String,
}

fn keycloak(credential: &Keycloak) -> Result<StoredHash, HashProblem> {
    const PROBLEM: HashProblem = HashProblem::Malformed(
        "credentialData and secretData are not those of a Keycloak password",
    );
    let data: CredentialData =
        serde_json::from_str(&credential.credential_data).map_err(|_| PROBLEM)?;
    let secret: SecretData = serde_json::from_str(&credential.secret_data).map_err(|_| PROBLEM)?;
    let pbkdf2 = |digest| Scheme::Pbkdf2 {
        digest,
        iterations: data.hash_iterations,
    };
    let scheme = match data.algorithm.as_str() {
        // The name without a digest is the oldest one.
        "pbkdf2" => pbkdf2(Digest::Sha1),
        "pbkdf2-sha256" => pbkdf2(Digest::Sha256),
        "pbkdf2-sha512" => pbkdf2(Digest::Sha512),
        "argon2" => keycloak_argon2(&data)?,
        _ => return Err(HashProblem::Unknown),
    };
    StoredHash::checked(scheme, base64(&secret.salt)?, base64(&secret.value)?)
}

/// The parameters of Keycloak's `Argon2PasswordHashProvider`: each is a list of one.
fn keycloak_argon2(data: &CredentialData) -> Result<Scheme, HashProblem> {
    const PROBLEM: HashProblem =
        HashProblem::Malformed("additionalParameters are not those of Keycloak's Argon2");
    let parameter = |name: &str| {
        let values = data.additional_parameters.as_ref()?.get(name)?;
        match values.as_slice() {
            [value] => Some(value.as_str()),
            _ => None,
        }
    };
    let algorithm = match parameter("type").ok_or(PROBLEM)? {
        "id" => Algorithm::Argon2id,
        "i" => Algorithm::Argon2i,
        _ => return Err(HashProblem::Unknown),
    };
    let version = match parameter("version").ok_or(PROBLEM)? {
        "1.0" => Version::V0x10,
        "1.3" => Version::V0x13,
        _ => return Err(PROBLEM),
    };
    let cost = PasswordPolicy {
        m_kib: phc::number(parameter("memory").ok_or(PROBLEM)?)?,
        t: data.hash_iterations,
        p: phc::number(parameter("parallelism").ok_or(PROBLEM)?)?,
    };
    Ok(Scheme::Argon2 {
        algorithm,
        version,
        cost,
    })
}

/// A user of Firebase's `auth:export` (`passwordHash` and `salt`) with the parameters of the project, as its console
/// and its Admin SDK call them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Firebase {
    password_hash: String,
    salt: String,
    #[serde(alias = "base64_signer_key")]
    signer_key: String,
    #[serde(alias = "base64_salt_separator")]
    salt_separator: String,
    rounds: u32,
    #[serde(alias = "mem_cost")]
    mem_cost: u8,
}

fn firebase(user: &Firebase) -> Result<StoredHash, HashProblem> {
    let scheme = Scheme::Firebase {
        cost: ScryptCost {
            log_n: user.mem_cost,
            r: user.rounds,
            p: 1,
        },
        separator: base64(&user.salt_separator)?,
        signer_key: base64(&user.signer_key)?,
    };
    StoredHash::checked(scheme, base64(&user.salt)?, base64(&user.password_hash)?)
}
