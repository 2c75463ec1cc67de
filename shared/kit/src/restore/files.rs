//! Files that are whole or were never there, for their owner alone.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use super::RestoreError;
use crate::database::{beside, private};

/// What failed about a file.
pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::File { path, source }
}

/// A file that is made where it is absent, to be appended to.
pub(super) fn append_to(path: &Path) -> Result<File, RestoreError> {
    private(path).map_err(failed(path))
}

/// Replaces a file as a whole: whoever reads it, also after a loss of power, reads the old one or the new one.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), RestoreError> {
    let new = beside(path, ".new");
    let written = || {
        remove(&new)?;
        let mut file = private(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_folder(path)
    };
    written().map_err(failed(path))
}

/// Sees that the name of a file outlasts a loss of power.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
