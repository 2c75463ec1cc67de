//! The configuration: every setting with its default and unit, from flags, environment and file.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use identity_guard::{VerifierConfig, channel::ChannelConfig};
use identity_kit::{
    config::{ConfigError, DatabaseArgs, Program, ServerArgs, TelemetryArgs},
    password::PasswordPolicy,
    secret::RootSecret,
};

use crate::domain::{plan::Plans, reserved::ReservedUsernames};

/// What can you do: people, credentials, roles and permissions.
///
/// Every setting is a flag, a variable `USER_SERVICE_…` of the same name, or a key of the file of `--config`.
#[derive(Debug, Clone, Parser)]
#[command(name = "user-service", version)]
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
    /// Secrets, tokens and the other service.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Cost of passwords.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Who may be called what.
    #[command(flatten)]
    pub people: PeopleArgs,
    /// What users subscribe to.
    #[command(flatten)]
    pub subscription: SubscriptionArgs,
    /// The audit log.
    #[command(flatten)]
    pub audit: AuditArgs,
    /// Logs, traces and metrics.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// What the program can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Serve until SIGTERM or SIGINT
    Serve,
    /// Bring the schema and the built-in roles and permissions up to date
    Migrate,
    /// Ask the running server whether it serves; ends with 0 when it does
    Healthcheck(HealthcheckArgs),
    /// Create an active user with the role admin, and print it as JSON; ends with 3 when the name or address is taken
    CreateAdmin(CreateAdminArgs),
    /// Create users from a file of JSON Lines, with the password hashes that another program made; may be repeated
    ImportUsers(ImportUsersArgs),
    /// Write all users as JSON Lines, without password hashes
    ExportUsers(ExportUsersArgs),
    /// Walk along the audit log and print its length and head as JSON; ends with 4 where the log is broken
    VerifyAudit(VerifyAuditArgs),
    /// Make a database that was put back to an earlier copy one that is served: erase again who was erased since, as
    /// the journal in `--state-dir` says, and let everybody who follows its feed begin anew; prints what it did as JSON
    AfterRestore(AfterRestoreArgs),
}

/// Whether to doubt the marker.
#[derive(Debug, Clone, Copy, Args)]
pub struct AfterRestoreArgs {
    /// Do it although the marker in `--state-dir` agrees with the database, such as when both were put
    /// back, or although the journal there is lost or begins behind the copy
    #[arg(long)]
    pub force: bool,
}

/// What the audit log is compared with.
#[derive(Debug, Clone, Args)]
pub struct VerifyAuditArgs {
    /// A head that was noted before, as this verb prints it and the service logs it, which must still be in the log;
    /// may be repeated
    #[arg(long, value_name = "SEQUENCE:HASH")]
    pub head: Vec<String>,
}

/// Which listener to ask.
#[derive(Debug, Clone, Args)]
pub struct HealthcheckArgs {
    /// Ask the internal listener, whose health depends on the own database alone
    #[arg(long)]
    pub internal: bool,
}

/// Who becomes an administrator.
#[derive(Debug, Clone, Args)]
pub struct CreateAdminArgs {
    /// The username
    #[arg(long, value_name = "NAME")]
    pub username: String,
    /// The e-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub email: String,
    /// The first name
    #[arg(long, value_name = "NAME", default_value = "System")]
    pub first_name: String,
    /// The last name
    #[arg(long, value_name = "NAME", default_value = "Administrator")]
    pub last_name: String,
    /// File that holds the password; without it a random one is made and printed, once
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Which users to import.
#[derive(Debug, Clone, Args)]
pub struct ImportUsersArgs {
    /// The file, one user a line with the fields of `ImportedUser` in the contract; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Where the users come from, such as `keycloak`: who was imported from there before, by `external_id`, stays as
    /// they are
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// Say what would come of it, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Where to export users to.
#[derive(Debug, Clone, Args)]
pub struct ExportUsersArgs {
    /// The file, which must not exist; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
}

/// Whom the service believes, and how it proves itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// File with the secret of at least 32 bytes from which the keys of page and consistency tokens and of the audit
    /// log are derived
    #[arg(long, value_name = "FILE")]
    pub root_secret_file: Option<PathBuf>,
    /// Who may call internal RPCs: `name;scopes=credentials,change_feed;key-file=FILE` or `…;san=URI`; may be repeated
    #[arg(long, value_name = "IDENTITY")]
    pub service_identity: Vec<String>,
    /// The `iss` that access tokens must have
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50061")]
    pub issuer: String,
    /// What the `aud` of access tokens must contain
    #[arg(long, value_name = "NAME", default_value = "identity")]
    pub audience: String,
    /// How old the knowledge of revocations may be before auth-service is asked for each token, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u32).range(100..=300_000))]
    pub max_staleness_milliseconds: u32,
    /// The internal listener of auth-service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50062")]
    pub auth_url: String,
    /// PEM certificates of which one must have signed auth-service's
    #[arg(long, value_name = "FILE")]
    pub peer_ca_file: Option<PathBuf>,
    /// PEM chain to prove this service to auth-service
    #[arg(long, value_name = "FILE")]
    pub peer_cert_file: Option<PathBuf>,
    /// PEM key of that chain
    #[arg(long, value_name = "FILE")]
    pub peer_key_file: Option<PathBuf>,
    /// The name that auth-service's certificate must carry; the host of `--auth-url` unless set
    #[arg(long, value_name = "NAME")]
    pub peer_san: Option<String>,
    /// File with the service key that proves this service to auth-service
    #[arg(long, value_name = "FILE")]
    pub peer_service_key_file: Option<PathBuf>,
}

/// What hashing a password costs, and how much of it is done at once.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Passwords")]
pub struct PasswordArgs {
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
}

/// Names of people.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "People")]
pub struct PeopleArgs {
    /// A username that nobody can take over the network, with all that look like it, beside the usual ones such as
    /// admin and support; may be repeated
    #[arg(long, value_name = "NAME")]
    pub reserved_username: Vec<String>,
    /// Let anybody begin an account over the network; it can be used once its e-mail address is proven
    #[arg(long)]
    pub self_registration: bool,
}

impl PeopleArgs {
    /// The usernames that nobody can take over the network.
    ///
    /// # Errors
    /// One of them is no username.
    pub fn reserved_usernames(&self) -> Result<ReservedUsernames, ConfigError> {
        ReservedUsernames::with(&self.reserved_username).map_err(|problem| {
            ConfigError::new(
                "--reserved-username",
                problem.to_string(),
                "give a username, such as `acme-support`",
            )
        })
    }
}

/// What users subscribe to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Subscriptions")]
pub struct SubscriptionArgs {
    /// TOML file of plans: `NAME = ["feature", …]`; without it there are FREE, BASIC and PREMIUM
    #[arg(long, value_name = "FILE")]
    pub plans_file: Option<PathBuf>,
}

/// The audit log.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Audit")]
pub struct AuditArgs {
    /// Days for which events of the audit log are kept; 0 means for ever
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(..=36_500))]
    pub audit_retention_days: u32,
}

impl AuditArgs {
    /// For how long events are kept; `None` means for ever.
    #[must_use]
    pub fn retention(self) -> Option<Duration> {
        let days = Duration::from_hours(24 * u64::from(self.audit_retention_days));
        (!days.is_zero()).then_some(days)
    }
}

impl Config {
    /// How the settings are named and what is the default of those that both services share.
    #[must_use]
    pub fn program() -> Program {
        Program::new("USER_SERVICE")
            .default_value("listen", "127.0.0.1:50051")
            .default_value("internal-listen", "127.0.0.1:50052")
            .default_value("admin-listen", "127.0.0.1:9051")
            .default_value("database-url", "sqlite:user-service.db")
    }

    /// The cost of new password hashes.
    #[must_use]
    pub const fn password_policy(&self) -> PasswordPolicy {
        PasswordPolicy {
            m_kib: self.password.password_memory_kib,
            t: self.password.password_passes,
            p: self.password.password_lanes,
        }
    }
}

impl AccessArgs {
    /// The longest time to reach auth-service.
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    /// The longest time of a call to auth-service.
    const CALL_TIMEOUT: Duration = Duration::from_secs(2);

    /// The secret from which keys are derived.
    ///
    /// # Errors
    /// It is not configured, or its file cannot be used.
    pub fn root_secret(&self) -> Result<RootSecret, ConfigError> {
        let (flag, make) = (
            "--root-secret-file",
            "make one with `head -c 32 /dev/urandom > FILE` and keep it with the database",
        );
        let file = self.root_secret_file.as_ref().ok_or_else(|| {
            ConfigError::new(flag, "is not set, and there is no default secret", make)
        })?;
        RootSecret::from_file(file).map_err(|error| ConfigError::of_secret(flag, &error, make))
    }

    /// Whose access tokens are believed.
    #[must_use]
    pub fn verifier(&self) -> VerifierConfig {
        VerifierConfig::new(self.issuer.as_str(), self.audience.as_str())
    }

    /// How old the knowledge of revocations may be.
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        Duration::from_millis(self.max_staleness_milliseconds.into())
    }

    /// How to reach auth-service.
    #[must_use]
    pub fn channel(&self) -> ChannelConfig {
        ChannelConfig {
            url: self.auth_url.clone(),
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

impl SubscriptionArgs {
    /// The plans that there are.
    ///
    /// # Errors
    /// The file cannot be read, or says something else than plans.
    pub fn plans(&self) -> Result<Plans, ConfigError> {
        let Some(file) = &self.plans_file else {
            return Ok(Plans::default());
        };
        let wrong = |problem: String, fix| ConfigError::new("--plans-file", problem, fix);
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            wrong(
                format!("cannot read {shown}: {error}"),
                "name a file that this user may read",
            )
        })?;
        let fix = "write a line like `PREMIUM = [\"reports.export\"]` for each plan";
        let raw: BTreeMap<String, Vec<String>> = toml::from_str(&text).map_err(|error| {
            let problem = error.message();
            wrong(format!("{shown} is no table of plans: {problem}"), fix)
        })?;
        Plans::parse(raw).map_err(|problem| wrong(format!("{shown}: {problem}"), fix))
    }
}

#[cfg(test)]
mod tests;
