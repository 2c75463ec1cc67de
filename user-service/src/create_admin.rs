//! The first administrator: made by an operator at the database, since nobody else may give the role yet.

use std::str::Utf8Error;

use identity_kit::{
    clock::SharedClock,
    config::ConfigError,
    entropy::{self, Entropy, SharedEntropy},
    id::new_id,
    password::{HashError, HashPool, NewPassword},
    secret::{SecretFileError, read_secret_file},
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    config::{Config, CreateAdminArgs},
    domain::{
        credential::{PasswordHash, forbidden_passwords},
        email::Email,
        id::UserId,
        refusal::Refusal,
        text::PersonName,
        user::NewUser,
        username::Username,
    },
    setup::{self, SetupError},
    store,
};

/// Why no administrator was made.
#[derive(Debug, Error)]
pub enum CreateAdminError {
    /// The database cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The password file cannot be read.
    #[error("--password-file: {0}")]
    PasswordFile(#[from] SecretFileError),
    /// The password is no text.
    #[error("--password-file: the password is not UTF-8")]
    PasswordText(#[from] Utf8Error),
    /// A value is malformed.
    #[error("--{flag}: {problem}")]
    Value {
        /// The flag.
        flag: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The password was not hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The user cannot be stored, for one because the name or address is taken.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl CreateAdminError {
    /// Whether another name would do: somebody has this one, or the address.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(
            self,
            Self::Store(store::Error::Refused(
                Refusal::UsernameTaken | Refusal::EmailTaken
            ))
        )
    }
}

/// Makes the administrator and answers what to print: the user, and the password where it was made here.
///
/// The password need not be changed at the first login: who runs this verb is its owner, or hands it over.
///
/// # Errors
/// Why none was made; nothing is left behind.
pub async fn run(
    config: &Config,
    args: &CreateAdminArgs,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Value, CreateAdminError> {
    let new = parse(args, &*entropy)?;
    let given = args
        .password_file
        .as_ref()
        .map(|file| read_secret_file(file, 1))
        .transpose()?;
    let raw = match &given {
        Some(secret) => str::from_utf8(secret.expose())?.to_owned(),
        None => new_password(&*entropy),
    };
    let forbidden = forbidden_passwords(
        &args.username,
        &args.email,
        &args.first_name,
        &args.last_name,
    );
    let password =
        NewPassword::parse(&raw, &forbidden).map_err(|problem| CreateAdminError::Value {
            flag: "password-file".to_owned(),
            problem: format!("the password {problem}"),
        })?;
    let database = config.database.config(false)?;
    let pool = HashPool::new(1, 1, config.password_policy(), entropy.clone())
        .map_err(|error| ConfigError::of_hash_pool(&error))?;
    let hash = pool.hash(&password, None).await?;
    let store = setup::open(config, &database, clock.clone(), entropy).await?;
    let done = store
        .insert_administrator(new, PasswordHash::stored(hash), clock.now())
        .await;
    store.database().close().await;
    let user = done?.value;
    let mut printed = json!({ "user_id": user.id.as_str(), "username": user.username.as_str() });
    if given.is_none() {
        printed["password"] = json!(raw);
    }
    Ok(printed)
}

/// A password of 125 random bits, in five groups that can be read out. Drawn apart from ids, which are no secrets.
fn new_password(entropy: &dyn Entropy) -> String {
    const SYMBOLS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let drawn = entropy::bytes::<25>(entropy);
    let groups = drawn.chunks(5).map(|group| {
        let symbols = group.iter().map(|byte| SYMBOLS[usize::from(byte % 32)]);
        symbols.map(char::from).collect::<String>()
    });
    groups.collect::<Vec<_>>().join("-")
}

fn parse(args: &CreateAdminArgs, entropy: &dyn Entropy) -> Result<NewUser, CreateAdminError> {
    let value = |flag: &str, problem: String| CreateAdminError::Value {
        flag: flag.to_owned(),
        problem,
    };
    Ok(NewUser {
        id: UserId::new(new_id(entropy)),
        username: Username::parse(&args.username)
            .map_err(|problem| value("username", problem.to_string()))?,
        email: Email::parse(&args.email).map_err(|problem| value("email", problem.to_string()))?,
        first_name: PersonName::parse(&args.first_name)
            .map_err(|problem| value("first-name", problem.to_string()))?,
        last_name: PersonName::parse(&args.last_name)
            .map_err(|problem| value("last-name", problem.to_string()))?,
        phone: None,
        address: None,
        user_type_id: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use identity_kit::testing::SeededEntropy;

    use super::*;

    #[test]
    fn a_drawn_password_has_five_groups_of_five_clear_symbols() {
        let entropy = SeededEntropy::new(1);
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let password = new_password(&entropy);
            let groups: Vec<_> = password.split('-').collect();
            assert_eq!(
                groups.iter().map(|group| group.len()).collect::<Vec<_>>(),
                [5; 5]
            );
            let symbols: HashSet<char> = groups.concat().chars().collect();
            assert!(symbols.iter().all(char::is_ascii_alphanumeric));
            assert!(symbols.is_disjoint(&HashSet::from(['i', 'l', 'o', 'u'])));
            assert!(NewPassword::parse(&password, &[]).is_ok());
            assert!(seen.insert(password));
        }
    }

    #[test]
    fn every_symbol_is_drawn_in_every_place() {
        let entropy = SeededEntropy::new(2);
        let drawn: Vec<_> = (0..2_000).map(|_| new_password(&entropy)).collect();
        for place in (0..29).filter(|place| place % 6 != 5) {
            let symbols: HashSet<u8> = drawn.iter().map(|text| text.as_bytes()[place]).collect();
            assert_eq!(symbols.len(), 32, "place {place}");
        }
    }
}
