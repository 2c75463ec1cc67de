//! The first administrator of a new database, and passwords that nobody chose.

use std::{
    fmt::Write,
    process::{Command, Stdio},
};

use identity_proto::auth::v1::TokenSet;
use serde_json::Value;

use crate::{api::Api, private_file, problem::Problem, service::Launch, session};

/// A new administrator: what to log in with.
#[derive(Clone)]
pub struct Administrator {
    /// The username.
    pub username: String,
    /// The password, which nothing keeps but the person who reads it.
    pub password: String,
}

/// What `create-admin` ends with when the name or the address is taken.
const TAKEN: i32 = 3;

/// Why there is no new administrator.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Somebody has the name already.
    #[error(transparent)]
    Taken(Problem),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] Problem),
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Taken(problem) | CreateError::Failed(problem) => problem,
        }
    }
}

/// Makes an administrator with the verb of user-service, which chooses the password.
///
/// # Errors
///
/// When the verb refuses; its own words are in the problem.
pub fn create(user_service: &Launch, username: &str) -> Result<Administrator, CreateError> {
    let output = command(user_service, username)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Problem::new(format!("cannot run create-admin: {error}")))?;
    if !output.status.success() {
        let problem = Problem::new(format!(
            "create-admin failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
        return Err(match output.status.code() {
            Some(TAKEN) => CreateError::Taken(problem),
            _ => CreateError::Failed(problem),
        });
    }
    let printed: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Problem::new(format!("create-admin printed no JSON: {error}")))?;
    let text = |field: &str| {
        let value = printed[field].as_str();
        value
            .map(str::to_owned)
            .ok_or_else(|| Problem::new(format!("create-admin printed no {field}")))
    };
    Ok(Administrator {
        username: text("username")?,
        password: text("password")?,
    })
}

/// The command that makes an administrator.
#[must_use]
pub fn command(user_service: &Launch, username: &str) -> Command {
    let mut command = user_service.verb("create-admin");
    command
        .args(["--username", username])
        .args(["--email", &format!("{username}@example.org")]);
    command
}

impl Administrator {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// When the login is refused.
    pub async fn log_in(&self, api: &Api) -> Result<TokenSet, Problem> {
        session::log_in(api, &self.username, &self.password, &self.password).await
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
