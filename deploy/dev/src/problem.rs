//! The one error of this crate: what went wrong and, where it is known, what to do about it.

use std::{fmt, path::Path};

use tonic::Status;
use tonic_types::StatusExt;

/// What went wrong, in a sentence for the developer at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Problem(String);

impl Problem {
    /// A problem from its sentence.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A failed operation on a file.
    #[must_use]
    pub fn file(verb: &str, path: &Path, error: &std::io::Error) -> Self {
        Self(format!("cannot {verb} {}: {error}", path.display()))
    }

    /// A call that was answered with an error: its code, reason and message.
    #[must_use]
    pub fn call(method: &str, status: &Status) -> Self {
        Self(format!("{method} failed: {}", Outcome(status)))
    }
}

/// A status as a developer reads it: code, reason, message.
pub struct Outcome<'a>(pub &'a Status);

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(status) = self;
        write!(f, "{:?}", status.code())?;
        if let Some(reason) = reason(status) {
            write!(f, " / {reason}")?;
        }
        write!(f, ": {}", status.message())
    }
}

/// The reason in the error's `ErrorInfo`, such as `PERMISSION_REQUIRED`.
#[must_use]
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}
