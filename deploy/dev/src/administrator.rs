//! The first administrator of a new database, and passwords that nobody chose.

use std::{fmt::Write, io::ErrorKind, process::Stdio};

use crate::{api::Api, private_file, problem::Problem, service::Launch, session};
use identity_proto::auth::v1::TokenSet;

/// A new administrator: what to log in with.
#[derive(Clone)]
pub struct Administrator {
    /// The username.
    pub username: String,
    /// The password, which nothing keeps but the person who reads it.
    pub password: String,
}

/// Makes an administrator with the verb of user-service.
///
/// # Errors
///
/// When the verb refuses; its own words are in the problem.
pub fn create(user_service: &Launch, username: &str) -> Result<Administrator, Problem> {
    let password = random_password()?;
    let password_file = user_service
        .material
        .folder_of(user_service.service)
        .join("new-administrator-password");
    private_file::write(&password_file, password.as_bytes())?;
    let output = user_service
        .verb("create-admin")
        .args(["--username", username])
        .args(["--email", &format!("{username}@example.org")])
        .arg("--password-file")
        .arg(&password_file)
        .stdin(Stdio::null())
        .output();
    match std::fs::remove_file(&password_file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Problem::file("remove", &password_file, &error));
        }
        _ => {}
    }
    let output =
        output.map_err(|error| Problem::new(format!("cannot run create-admin: {error}")))?;
    if !output.status.success() {
        return Err(Problem::new(format!(
            "create-admin failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(Administrator {
        username: username.to_owned(),
        password,
    })
}

impl Administrator {
    /// Logs in; where the password must be changed first, to a new random one, which is kept here.
    ///
    /// # Errors
    ///
    /// When the login is refused.
    pub async fn log_in(&mut self, api: &Api) -> Result<TokenSet, Problem> {
        use identity_proto::auth::v1::login_response::Result as Step;
        match session::begin(api, &self.username, &self.password).await? {
            Step::Tokens(tokens) => Ok(tokens),
            Step::Challenge(challenge) => {
                let password = random_password()?;
                let tokens = session::change_password(api, challenge, &password).await?;
                self.password = password;
                Ok(tokens)
            }
        }
    }
}

/// 120 random bits in groups that a person can copy.
///
/// # Errors
///
/// When the system gives no random bytes.
pub fn random_password() -> Result<String, Problem> {
    let mut text = String::new();
    for (at, digit) in private_file::random_hex()?.chars().take(30).enumerate() {
        let separator = if at > 0 && at % 6 == 0 { "-" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{digit}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_never_the_same() {
        let (one, other) = (random_password().unwrap(), random_password().unwrap());
        assert_eq!(one.len(), 34);
        assert_ne!(one, other);
    }
}
