//! Etags: opaque text that changes with every change of what it belongs to.

use std::fmt;

use super::problem::Problem;

/// The longest etag a caller may send, in characters.
const MAX: usize = 64;

/// Names one version of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    /// The etag of version `version` of the resource with this id.
    #[must_use]
    pub fn of(id: &str, version: i64) -> Self {
        Self(format!("{:08x}{version:x}", fingerprint(id)))
    }

    /// Reads the etag of a request; empty means that any state may be written over.
    ///
    /// # Errors
    /// When it cannot be one of ours. One of ours that is stale is no error here.
    pub fn parse(raw: &str) -> Result<Option<Self>, Problem> {
        if raw.is_empty() {
            return Ok(None);
        }
        if raw.len() > MAX {
            return Err(Problem::TooLong(MAX));
        }
        if raw.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Some(Self(raw.to_owned())))
        } else {
            Err(Problem::Format("must be an etag as it was answered"))
        }
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// FNV-1a, so that the etag of one resource does not pass for that of another by accident.
fn fingerprint(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_names_one_version_of_one_resource() {
        assert_eq!(Etag::of("a", 1), Etag::of("a", 1));
        assert_ne!(Etag::of("a", 1), Etag::of("a", 2));
        assert_ne!(Etag::of("a", 1), Etag::of("b", 1));
        let text = Etag::of("a", 1).to_string();
        assert_eq!(Etag::parse(&text), Ok(Some(Etag::of("a", 1))));
    }

    #[test]
    fn what_was_never_an_etag_is_refused() {
        assert!(Etag::parse("a\0").is_err());
        assert!(Etag::parse(&"a".repeat(65)).is_err());
        assert_eq!(Etag::parse(""), Ok(None));
    }
}
