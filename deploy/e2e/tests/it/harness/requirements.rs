//! What a full run needs besides the services, and what happens where it is missing.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use identity_dev::binaries::Binaries;

use super::Store;

/// The server that databases are made on.
pub(crate) const POSTGRES_URL: &str = "E2E_POSTGRES_URL";

/// PostgreSQL, where `E2E_POSTGRES_URL` names a server on which databases may be created.
pub(crate) fn postgres(test: &str) -> Option<Store> {
    match env::var(POSTGRES_URL) {
        Ok(url) => Some(Store::Postgres(url)),
        Err(_) => left_out(test, &format!("{POSTGRES_URL} names no server")),
    }
}

/// grpcurl: from `GRPCURL`, the tools of `deploy/test.sh`, or the path.
pub(crate) fn grpcurl(test: &str) -> Option<PathBuf> {
    let tools = Binaries::beside_this_program()
        .unwrap()
        .target()
        .join("tools");
    let on_path = env::var_os("PATH").unwrap_or_default();
    env::var_os("GRPCURL")
        .map(PathBuf::from)
        .into_iter()
        .chain([tools.join("grpcurl")])
        .chain(env::split_paths(&on_path).map(|folder| folder.join("grpcurl")))
        .find(|path| path.is_file())
        .or_else(|| left_out(test, "grpcurl is not installed"))
}

/// A Python with the libraries that hash as other programs do: from `E2E_PYTHON`, or the tools of `deploy/test.sh`.
pub(crate) fn python_that_hashes(test: &str) -> Option<PathBuf> {
    let target = Binaries::beside_this_program().unwrap();
    let tools = target.target().join("tools/python/bin/python");
    env::var_os("E2E_PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .chain([tools])
        .find(|python| {
            let check = Command::new(python)
                .args(["-c", "import argon2, bcrypt, cryptography, django, passlib"])
                .stderr(Stdio::null())
                .status();
            check.is_ok_and(|status| status.success())
        })
        .or_else(|| {
            left_out(
                test,
                "there is no Python with argon2-cffi, bcrypt, cryptography, Django and passlib",
            )
        })
}

/// A program of this repository that not every test run builds.
pub(crate) fn program(name: &str, test: &str) -> Option<PathBuf> {
    let folder = Binaries::beside_this_program().unwrap();
    let path = folder.folder().join(name);
    if path.is_file() {
        return Some(path);
    }
    left_out(test, &format!("{name} is not built"))
}

/// How many rounds of a trial: more in `deploy/test.sh` than in a plain `cargo test`.
pub(crate) fn rounds(variable: &str, plain: usize) -> usize {
    match env::var(variable) {
        Ok(text) => text.parse().expect("a number of rounds"),
        Err(_) => plain,
    }
}

/// The service's program; it must have been built.
pub(crate) fn require_binary(path: &Path) {
    assert!(
        path.is_file(),
        "{} is not built; run `cargo build --workspace` first",
        path.display()
    );
}

#[expect(
    clippy::print_stderr,
    reason = "what a run leaves out is said, not hidden"
)]
fn left_out<T>(test: &str, why: &str) -> Option<T> {
    assert_ne!(
        env::var_os("E2E_REQUIRE_ALL").as_deref(),
        Some(OsStr::new("1")),
        "{test} cannot run: {why}"
    );
    eprintln!("left out: {test}, since {why}; deploy/test.sh runs it");
    None
}
