//! The configuration: every setting with its default and unit, from flags, environment and file.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use identity_guard::{VerifierConfig, channel::ChannelConfig, engine::SignatureAlgorithm};
use identity_kit::{
    config::{ConfigError, DatabaseArgs, Program, ServerArgs, TelemetryArgs},
    password::PasswordPolicy,
    secret::RootSecret,
};

use crate::domain::{
    policy::SessionPolicy,
    throttle::{Limit, ThrottleLimits},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Who are you: login, tokens, sessions and keys.
///
/// Every setting is a flag, a variable `AUTH_SERVICE_…` of the same name, or a key of the file of `--config`.
#[derive(Debug, Clone, Parser)]
#[command(name = "auth-service", version)]
pub struct Config {
    /// What to do; `serve` unless given.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Listeners.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Secrets and the other service.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Tokens and sessions.
    #[command(flatten)]
    pub tokens: TokenArgs,
    /// Cost of passwords, and how often they may be tried.
    #[command(flatten)]
    pub login: LoginArgs,
    /// Logs, traces and metrics.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// What the program can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Serve until SIGTERM or SIGINT
    Serve,
    /// Bring the schema up to date
    Migrate,
    /// Ask the running server whether it serves; ends with 0 when it does
    Healthcheck(HealthcheckArgs),
    /// Make a database that was put back to an earlier copy one that is served: end all sessions and refresh tokens,
    /// withdraw all signing keys and make a new one, and let everybody who follows its feed begin anew; prints what it
    /// did as JSON
    AfterRestore(AfterRestoreArgs),
}

/// Whether to doubt the marker.
#[derive(Debug, Clone, Copy, Args)]
pub struct AfterRestoreArgs {
    /// Do it although the marker in `--state-dir` agrees with the database, such as when both were put back
    #[arg(long)]
    pub force: bool,
}

/// Which listener to ask.
#[derive(Debug, Clone, Args)]
pub struct HealthcheckArgs {
    /// Ask the internal listener, whose health depends on the own database alone
    #[arg(long)]
    pub internal: bool,
}

/// Whom the service believes, and how it proves itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// File with the secret of at least 32 bytes that seals the signing keys and from which other keys are derived
    #[arg(long, value_name = "FILE")]
    pub root_secret_file: Option<PathBuf>,
    /// Who may call internal RPCs: `name;scopes=access_feed;key-file=FILE` or `…;san=URI`; may be repeated
    #[arg(long, value_name = "IDENTITY")]
    pub service_identity: Vec<String>,
    /// How old the knowledge of revocations may be before the database is asked for each token, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u32).range(100..=300_000))]
    pub max_staleness_milliseconds: u32,
    /// The internal listener of user-service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50052")]
    pub user_url: String,
    /// PEM certificates of which one must have signed user-service's
    #[arg(long, value_name = "FILE")]
    pub peer_ca_file: Option<PathBuf>,
    /// PEM chain to prove this service to user-service
    #[arg(long, value_name = "FILE")]
    pub peer_cert_file: Option<PathBuf>,
    /// PEM key of that chain
    #[arg(long, value_name = "FILE")]
    pub peer_key_file: Option<PathBuf>,
    /// The name that user-service's certificate must carry; the host of `--user-url` unless set
    #[arg(long, value_name = "NAME")]
    pub peer_san: Option<String>,
    /// File with the service key that proves this service to user-service
    #[arg(long, value_name = "FILE")]
    pub peer_service_key_file: Option<PathBuf>,
}

/// What tokens say and how long they and their sessions live.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct TokenArgs {
    /// The `iss` of access tokens: the public URL of this service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50061")]
    pub issuer: String,
    /// The `aud` of access tokens
    #[arg(long, value_name = "NAME", default_value = "identity")]
    pub audience: String,
    /// Algorithm of the signing key that the first start makes: ES256, `EdDSA` or RS256
    #[arg(long, value_name = "NAME", default_value = "ES256", value_parser = algorithm)]
    pub signing_algorithm: SignatureAlgorithm,
    /// Life of an access token, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10 * MINUTE,
          value_parser = clap::value_parser!(u64).range(10..=HOUR))]
    pub access_token_seconds: u64,
    /// Life of a refresh token, and of a session that is not refreshed, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 24 * HOUR,
          value_parser = clap::value_parser!(u64).range(MINUTE..=365 * 24 * HOUR))]
    pub session_idle_seconds: u64,
    /// Life of a session in any case, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 90 * 24 * HOUR,
          value_parser = clap::value_parser!(u64).range(MINUTE..=5 * 365 * 24 * HOUR))]
    pub session_seconds: u64,
    /// How long the lost answer of a refresh can be fetched again with the same token, in seconds; 0 makes every
    /// second use a replay, which ends the session
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(..=60))]
    pub refresh_retry_seconds: u64,
}

/// What verifying a password costs, and how often it may be tried.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Passwords")]
pub struct LoginArgs {
    /// Memory of Argon2id, in KiB
    #[arg(long, value_name = "KIB", default_value_t = PasswordPolicy::default().m_kib)]
    pub password_memory_kib: u32,
    /// Passes of Argon2id
    #[arg(long, value_name = "COUNT", default_value_t = PasswordPolicy::default().t)]
    pub password_passes: u32,
    /// Lanes of Argon2id
    #[arg(long, value_name = "COUNT", default_value_t = PasswordPolicy::default().p)]
    pub password_lanes: u32,
    /// Threads that hash; 0 means one a core
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub hash_threads: usize,
    /// Most passwords that wait to be hashed; more are refused
    #[arg(long, value_name = "COUNT", default_value_t = 1_024)]
    pub hash_queue: usize,
    /// Attempts of one identifier from one network within the window
    #[arg(long, value_name = "COUNT", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub login_attempts: u32,
    /// Attempts from one network within the window
    #[arg(long, value_name = "COUNT", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub login_attempts_per_network: u32,
    /// Attempts on one account within the window; beyond it nobody is told
    #[arg(long, value_name = "COUNT", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub login_attempts_per_account: u32,
    /// The window, and the first block; each further block is twice as long, up to four windows; in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15 * MINUTE,
          value_parser = clap::value_parser!(u64).range(1..=24 * HOUR))]
    pub login_window_seconds: u64,
}

fn algorithm(name: &str) -> Result<SignatureAlgorithm, &'static str> {
    SignatureAlgorithm::parse(name).ok_or("use ES256, EdDSA or RS256")
}

impl Config {
    /// How the settings are named and what is the default of those that both services share.
    #[must_use]
    pub fn program() -> Program {
        Program::new("AUTH_SERVICE")
            .default_value("listen", "127.0.0.1:50061")
            .default_value("internal-listen", "127.0.0.1:50062")
            .default_value("admin-listen", "127.0.0.1:9061")
            .default_value("database-url", "sqlite:auth-service.db")
    }

    /// Lives and bounds of tokens and sessions.
    #[must_use]
    pub fn policy(&self) -> SessionPolicy {
        let window = Duration::from_secs(self.login.login_window_seconds);
        let limit = |attempts| Limit {
            attempts,
            window,
            longest_block: window * 4,
        };
        SessionPolicy {
            access_token_life: Duration::from_secs(self.tokens.access_token_seconds),
            idle_life: Duration::from_secs(self.tokens.session_idle_seconds),
            absolute_life: Duration::from_secs(self.tokens.session_seconds),
            retry_window: Duration::from_secs(self.tokens.refresh_retry_seconds),
            throttle: ThrottleLimits {
                pair: limit(self.login.login_attempts),
                network: limit(self.login.login_attempts_per_network),
                account: limit(self.login.login_attempts_per_account),
            },
            ..SessionPolicy::default()
        }
    }
}

impl LoginArgs {
    /// The cost of new password hashes.
    #[must_use]
    pub const fn password_policy(&self) -> PasswordPolicy {
        PasswordPolicy {
            m_kib: self.password_memory_kib,
            t: self.password_passes,
            p: self.password_lanes,
        }
    }
}

impl TokenArgs {
    /// Whose access tokens are believed: our own.
    #[must_use]
    pub fn verifier(&self, leeway: Duration) -> VerifierConfig {
        VerifierConfig {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway,
        }
    }
}

impl AccessArgs {
    /// The longest time to reach user-service.
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    /// The longest time of a call to user-service.
    const CALL_TIMEOUT: Duration = Duration::from_secs(2);

    /// The secret from which keys are derived.
    ///
    /// # Errors
    /// It is not configured, or its file cannot be used.
    pub fn root_secret(&self) -> Result<RootSecret, ConfigError> {
        let (flag, make) = (
            "--root-secret-file",
            "make one with `head -c 32 /dev/urandom > FILE` and keep it apart from the database",
        );
        let file = self.root_secret_file.as_ref().ok_or_else(|| {
            ConfigError::new(flag, "is not set, and there is no default secret", make)
        })?;
        RootSecret::from_file(file).map_err(|error| ConfigError::of_secret(flag, &error, make))
    }

    /// How old the knowledge of revocations may be.
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        Duration::from_millis(self.max_staleness_milliseconds.into())
    }

    /// How to reach user-service.
    #[must_use]
    pub fn channel(&self) -> ChannelConfig {
        ChannelConfig {
            url: self.user_url.clone(),
            ca_file: self.peer_ca_file.clone(),
            cert_file: self.peer_cert_file.clone(),
            key_file: self.peer_key_file.clone(),
            expected_san: self.peer_san.clone(),
            service_key_file: self.peer_service_key_file.clone(),
            connect_timeout: Self::CONNECT_TIMEOUT,
            call_timeout: Self::CALL_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Config, SessionPolicy, Verb};

    fn parse(args: &[&str]) -> Result<Config, clap::Error> {
        let args = std::iter::once("auth-service").chain(args.iter().copied());
        Config::program().try_parse_from(args)
    }

    #[test]
    fn everything_has_a_default_but_the_root_secret() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:50061");
        assert!(config.verb.is_none());
        let error = config.access.root_secret().unwrap_err().to_string();
        assert!(error.contains("--root-secret-file"), "{error}");
    }

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_policy() {
        let policy = parse(&[]).unwrap().policy();
        let default = SessionPolicy::default();
        assert_eq!(policy.access_token_life, default.access_token_life);
        assert_eq!(policy.idle_life, default.idle_life);
        assert_eq!(policy.absolute_life, default.absolute_life);
        assert_eq!(policy.throttle, default.throttle);
    }

    #[test]
    fn a_verb_takes_the_settings_after_it() {
        let config = parse(&["serve", "--access-token-seconds", "60"]).unwrap();
        assert!(matches!(config.verb, Some(Verb::Serve)));
        assert_eq!(config.policy().access_token_life, Duration::from_mins(1));
    }

    #[test]
    fn an_unknown_algorithm_is_refused_with_the_known_ones() {
        let error = parse(&["--signing-algorithm", "HS256"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("ES256, EdDSA or RS256"), "{error}");
    }
}
