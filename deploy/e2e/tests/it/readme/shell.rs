//! A shell at which a reader pastes, with a grpcurl that remembers what it was told and what it said.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Stands in front of the real grpcurl. Calls follow each other, so that counting them names them.
const SHIM: &str = r#"#!/bin/bash
call="$CALLS/$(ls "$CALLS" | grep -c code)"
"$GRPCURL" -max-time 30 "$@" >"$call.out" 2>"$call.err"
code=$?
printf '%s %s' "$code" "${!#}" >"$call.code"
cat "$call.out"
cat "$call.err" >&2
exit $code
"#;

/// A place to paste at.
pub(super) struct Shell {
    grpcurl: PathBuf,
    folder: TempDir,
}

/// One call of grpcurl.
#[derive(Debug)]
pub(super) struct Call {
    /// The last word: a verb such as `list`, or the method.
    pub(super) what: String,
    is_ok: bool,
    text: String,
}

impl Call {
    /// That it succeeded, and what stands in its answer.
    #[track_caller]
    pub(super) fn answered(&self, what: &str, part: &str) -> &Self {
        assert!(self.what.ends_with(what), "not {what}: {self:?}");
        assert!(self.is_ok && self.text.contains(part), "{self:?}");
        self
    }

    /// That it was refused, and for which reason.
    #[track_caller]
    pub(super) fn refused(&self, what: &str, reason: &str) -> &Self {
        assert!(self.what.ends_with(what), "not {what}: {self:?}");
        let text = self.text.replace(' ', "");
        let reason = format!(r#""reason":"{reason}""#);
        assert!(!self.is_ok && text.contains(&reason), "{self:?}");
        self
    }

    /// What else stands in its answer.
    #[track_caller]
    pub(super) fn tells(&self, part: &str) {
        assert!(self.text.contains(part), "{part} is missing: {self:?}");
    }
}

impl Shell {
    pub(super) fn with(grpcurl: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shim = folder.path().join("grpcurl");
        fs::write(&shim, SHIM).unwrap();
        fs::set_permissions(&shim, fs::Permissions::from_mode(0o700)).unwrap();
        Self { grpcurl, folder }
    }

    /// Where commands are looked for: the grpcurl that remembers comes first.
    pub(super) fn path(&self) -> OsString {
        let known = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = vec![self.folder.path().to_owned()];
        folders.extend(std::env::split_paths(&known));
        std::env::join_paths(folders).unwrap()
    }

    /// Runs a script in the repository, and answers the calls that it made.
    ///
    /// Refused calls do not end it, as they do not at a prompt; a word that is no command does.
    pub(super) fn paste(&self, script: &str, repository: &Path) -> Vec<Call> {
        let calls = tempfile::tempdir().unwrap();
        let output = Command::new("bash")
            .args(["-c", &format!("set -u\n{script}")])
            .current_dir(repository)
            .env("PATH", self.path())
            .env("GRPCURL", &self.grpcurl)
            .env("CALLS", calls.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        for complaint in ["command not found", "unbound variable", "syntax error"] {
            assert!(!errors.contains(complaint), "{errors}");
        }
        (0..)
            .map(|number| calls.path().join(number.to_string()))
            .map_while(|call| read(&call))
            .collect()
    }
}

fn read(call: &Path) -> Option<Call> {
    let code = fs::read_to_string(call.with_extension("code")).ok()?;
    let (code, what) = code.split_once(' ').unwrap();
    let part = |name| fs::read_to_string(call.with_extension(name)).unwrap();
    Some(Call {
        what: what.to_owned(),
        is_ok: code == "0",
        text: part("out") + &part("err"),
    })
}
