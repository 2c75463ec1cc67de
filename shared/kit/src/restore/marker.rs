//! The marker: where the feed was, in one line of JSON.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{RestoreError, files};
use crate::{outbox::Cursor, position::Position};

/// The longest marker that is looked at, in bytes.
const LONGEST: usize = 4_096;

/// Where the feed of a database was, and how much of the journal tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The place.
    pub cursor: Cursor,
    /// How long the journal of erasures was, in bytes.
    pub journal_bytes: u64,
    /// Everybody is in the journal who was erased behind this revision.
    pub journal_since: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    service: String,
    epoch: String,
    revision: u64,
    nonce: Option<String>,
    journal_bytes: u64,
    journal_since: u64,
}

pub(super) fn read(service: &'static str, path: &Path) -> Result<Option<Marker>, RestoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(files::failed(path)(error)),
    };
    let damaged = |problem: String| RestoreError::Damaged {
        service,
        marker: path.to_owned(),
        problem,
    };
    if text.len() > LONGEST {
        return Err(damaged("it is too long".to_owned()));
    }
    let line: Line = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if line.service != service {
        return Err(damaged(format!("it is of {}", line.service)));
    }
    Ok(Some(Marker {
        cursor: Cursor {
            position: Position::new(line.epoch, line.revision),
            nonce: line.nonce,
        },
        journal_bytes: line.journal_bytes,
        journal_since: line.journal_since,
    }))
}

pub(super) fn write(
    service: &'static str,
    path: &Path,
    marker: &Marker,
) -> Result<(), RestoreError> {
    let Cursor { position, nonce } = &marker.cursor;
    let line = Line {
        service: service.to_owned(),
        epoch: position.epoch.clone(),
        revision: position.revision,
        nonce: nonce.clone(),
        journal_bytes: marker.journal_bytes,
        journal_since: marker.journal_since,
    };
    let mut text = serde_json::to_vec(&line)
        .map_err(io::Error::from)
        .map_err(files::failed(path))?;
    text.push(b'\n');
    files::replace(path, &text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    const SERVICE: &str = "user-service";

    fn marker(revision: u64) -> Marker {
        Marker {
            cursor: Cursor {
                position: Position::new("epoch", revision),
                nonce: Some(format!("nonce{revision}")),
            },
            journal_bytes: 25 * revision,
            journal_since: 3,
        }
    }

    fn place() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m");
        (folder, path)
    }

    #[test]
    fn a_marker_is_read_as_it_was_written_last_and_is_its_owners_alone() {
        let (folder, path) = place();
        assert_eq!(read(SERVICE, &path).expect("reads"), None);
        for revision in [1, 7] {
            write(SERVICE, &path, &marker(revision)).expect("writes");
            assert_eq!(read(SERVICE, &path).expect("reads"), Some(marker(revision)));
        }
        let names = fs::read_dir(folder.path()).expect("lists").count();
        assert_eq!(names, 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_a_killed_writer_left_changes_nothing() {
        let (_folder, path) = place();
        write(SERVICE, &path, &marker(1)).expect("writes");
        fs::write(crate::database::beside(&path, ".new"), "{\"serv").expect("writes");
        assert_eq!(read(SERVICE, &path).expect("reads"), Some(marker(1)));
        write(SERVICE, &path, &marker(2)).expect("writes");
        assert_eq!(read(SERVICE, &path).expect("reads"), Some(marker(2)));
    }

    #[test]
    fn what_is_no_marker_of_this_service_is_refused_by_its_name() {
        let (_folder, path) = place();
        write("auth-service", &path, &marker(1)).expect("writes");
        let whole = fs::read_to_string(&path).expect("reads");
        let half = whole[..whole.len() / 2].to_owned();
        for (text, problem) in [
            (whole.as_str(), "it is of auth-service"),
            (half.as_str(), "EOF"),
            ("", "EOF"),
            ("{}", "missing field"),
            (&"x".repeat(LONGEST + 1), "too long"),
        ] {
            fs::write(&path, text).expect("writes");
            let error = read(SERVICE, &path).expect_err("is refused").to_string();
            assert!(error.contains(problem), "{error}");
            assert!(error.contains(path.to_str().expect("is text")), "{error}");
        }
    }
}
