//! Where the data is: a URL, or a file that holds it, since it may carry a password.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
};

use clap::Args;
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

use super::ConfigError;
use crate::{database::DatabaseConfig, restore::State, secret::read_secret_file};

/// Where the data is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// `sqlite:` with a file, or `postgres:` with user, host and database
    #[arg(long, value_name = "URL", conflicts_with = "database_url_file")]
    pub database_url: String,
    /// File that holds the URL, in place of `--database-url`: a password in it stands in no command line and no
    /// environment
    #[arg(long, value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,
    /// Bring the schema up to date when the server starts
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub auto_migrate: bool,
    /// Folder for what must outlive the database, on another disk than it at best: by it a database that was put back to
    /// an earlier copy is noticed. Beside the file of SQLite unless set; nowhere for PostgreSQL
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    /// Most connections for reading; 0 means one a core for SQLite and ten for PostgreSQL
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub database_max_readers: u32,
}

impl DatabaseArgs {
    /// The flag that says where the database is.
    #[must_use]
    pub const fn flag(&self) -> &'static str {
        match self.database_url_file {
            Some(_) => "--database-url-file",
            None => "--database-url",
        }
    }

    /// Where the database is; `exclusive`, whether this process serves it.
    ///
    /// # Errors
    /// The file of the URL cannot be read, or the URL is none that leads to a database. What it holds is never told.
    pub fn config(&self, exclusive: bool) -> Result<DatabaseConfig, ConfigError> {
        let url = match &self.database_url_file {
            Some(file) => self.read(file)?,
            None => self.database_url.clone(),
        };
        self.check(&url)?;
        Ok(DatabaseConfig {
            max_connections: Some(self.database_max_readers).filter(|&count| count > 0),
            exclusive,
            ..DatabaseConfig::new(url)
        })
    }

    /// Where a service keeps what must outlive this database.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn state(&self, service: &'static str) -> Result<State, ConfigError> {
        if let Some(folder) = &self.state_dir {
            return if folder.is_dir() {
                Ok(State::in_folder(service, folder))
            } else {
                let problem = format!("there is no folder {}", folder.display());
                let fix = "make it, and let this user write to it";
                Err(ConfigError::new("--state-dir", problem, fix))
            };
        }
        let url = self.config(false)?.url;
        let options = SqliteConnectOptions::from_str(&url).ok();
        Ok(options
            .filter(|_| url.starts_with("sqlite:"))
            .map_or(State::none(service), |options| {
                State::beside(service, options.get_filename())
            }))
    }

    fn read(&self, file: &Path) -> Result<String, ConfigError> {
        let flag = self.flag();
        let fix = "write the URL into it and nothing else";
        let secret =
            read_secret_file(file, 1).map_err(|error| ConfigError::of_secret(flag, &error, fix))?;
        String::from_utf8(secret.expose().to_vec())
            .map_err(|_| ConfigError::new(flag, format!("{} holds no text", file.display()), fix))
    }

    fn check(&self, url: &str) -> Result<(), ConfigError> {
        let error = |problem: String, fix: &str| Err(ConfigError::new(self.flag(), problem, fix));
        match url.split(':').next() {
            Some("sqlite") => match SqliteConnectOptions::from_str(url) {
                Ok(options) => match missing_folder(options.get_filename()) {
                    Some(folder) => error(
                        format!("there is no folder {}", folder.display()),
                        "make it, or choose another file",
                    ),
                    None => Ok(()),
                },
                Err(problem) => error(problem.to_string(), "write it as sqlite:FILE"),
            },
            Some("postgres" | "postgresql") => match PgConnectOptions::from_str(url) {
                Ok(_) => Ok(()),
                // The library's words might repeat a part of the password.
                Err(_) => error(
                    "the URL is malformed".to_owned(),
                    "write it as postgres://USER:PASSWORD@HOST/NAME, with what is special percent-encoded",
                ),
            },
            _ => error(
                "the URL begins with neither sqlite: nor postgres://".to_owned(),
                "write it as sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME",
            ),
        }
    }
}

/// The folder that a new file would need and that is not there.
fn missing_folder(file: &Path) -> Option<&Path> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""))?;
    (!folder.is_dir()).then_some(folder)
}
