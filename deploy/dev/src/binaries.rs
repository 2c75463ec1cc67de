//! The services' programs: built by cargo in the profile that this program was built in.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{problem::Problem, service::Service};

/// The folder of one profile in the target folder, such as `target/debug`.
#[derive(Clone, Debug)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Next to this program, or above it when it is a test.
    ///
    /// # Errors
    ///
    /// When the system does not say where this program is.
    pub fn beside_this_program() -> Result<Self, Problem> {
        let program = env::current_exe()
            .map_err(|error| Problem::new(format!("cannot find this program: {error}")))?;
        let folder = program.parent().unwrap_or(Path::new("."));
        let folder = match folder.parent() {
            Some(parent) if folder.ends_with("deps") => parent,
            _ => folder,
        };
        Ok(Self(folder.to_owned()))
    }

    /// In a folder such as `target/dist`.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The target folder.
    #[must_use]
    pub fn target(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }

    /// The program of a service.
    #[must_use]
    pub fn of(&self, service: Service) -> PathBuf {
        self.0.join(service.name())
    }

    /// Builds both programs, showing what the compiler says.
    ///
    /// # Errors
    ///
    /// When they do not build.
    pub fn build(&self) -> Result<(), Problem> {
        let profile = match self.0.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--locked", "--profile", profile, "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .arg("--target-dir")
            .arg(self.target());
        for service in Service::BOTH {
            command.args(["--package", service.name(), "--bin", service.name()]);
        }
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(Problem::new("the services do not build; see above")),
            Err(error) => Err(Problem::new(format!("cannot run cargo: {error}"))),
        }
    }
}
