//! Exports users at the database, as JSON Lines that `import-users` reads. There are no password hashes in them.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::Path,
};

use identity_kit::{
    clock::{SharedClock, Timestamp},
    config::ConfigError,
    entropy::SharedEntropy,
};
use thiserror::Error;

use crate::{
    config::{Config, ExportUsersArgs},
    domain::{
        export::ExportedUser,
        import::RawUser,
        name::{PermissionName, RoleName},
        phone::Phone,
    },
    progress::Progress,
    setup::{self, SetupError},
    store::{self, Store},
};

/// Why not every user was exported.
#[derive(Debug, Error)]
pub enum ExportUsersError {
    /// The database cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file cannot be written.
    #[error("--file: {0}")]
    File(#[from] io::Error),
    /// The users cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Writes every user.
///
/// # Errors
/// Why not all of them are in the file.
pub async fn run(
    config: &Config,
    args: &ExportUsersArgs,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<(), ExportUsersError> {
    let database = config.database.config(false)?;
    let now = clock.now();
    let store = setup::open(config, &database, clock, entropy).await?;
    let written = write(&store, &args.file, now).await;
    store.database().close().await;
    written
}

async fn write(store: &Store, path: &Path, now: Timestamp) -> Result<(), ExportUsersError> {
    let mut out = create(path)?;
    let mut progress = Progress::on_stderr(None);
    let mut after = None;
    let mut count = 0;
    loop {
        let users = store.list_exported_users(after.as_ref(), now).await?;
        let Some(last) = users.last() else { break };
        after = Some(last.user.id.clone());
        count += users.len() as u64;
        for user in users {
            serde_json::to_writer(&mut out, &raw(user)).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        progress.tell(count, count);
    }
    out.flush()?;
    progress.end();
    Ok(())
}

/// A new file that its owner alone may read: it is full of addresses.
fn create(path: &Path) -> Result<Box<dyn Write + Send>, io::Error> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    Ok(Box::new(BufWriter::new(options.open(path)?)))
}

/// The line of a user, with the id as what this source calls them.
fn raw(exported: ExportedUser) -> RawUser {
    let user = exported.user;
    let roles = exported.roles.into_iter();
    let direct = exported.direct.into_iter();
    RawUser {
        external_id: user.id.into_string(),
        username: user.username.into_string(),
        email: user.email.into_string(),
        email_verified: user.email_verified,
        first_name: user.first_name.into_string(),
        last_name: user.last_name.into_string(),
        phone: user.phone.map(Phone::into_string).unwrap_or_default(),
        address: user.address,
        user_type: exported.user_type.into_string(),
        roles: roles.map(RoleName::into_string).collect(),
        status: user.status.as_str().to_owned(),
        direct_permissions: direct.map(PermissionName::into_string).collect(),
        password_hash: String::new(),
    }
}
