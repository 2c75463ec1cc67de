//! Files that only their owner may read.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::problem::Problem;

/// Creates a folder of mode 0700 with its parents, unless it is there.
///
/// # Errors
///
/// When it cannot be created.
pub fn create_folder(path: &Path) -> Result<(), Problem> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Problem::file("create", path, &error))
}

/// Writes a file of mode 0600, whole or not at all: a reader sees the old content or the new one.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Problem> {
    let draft = path.with_extension("draft");
    let problem = |error| Problem::file("write", path, &error);
    create(&draft)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(problem)?;
    fs::rename(&draft, path).map_err(problem)
}

/// Writes 32 random bytes as 64 hexadecimal digits, unless the file is there.
///
/// # Errors
///
/// When the file cannot be written or the system gives no random bytes.
pub fn write_secret_once(path: &Path) -> Result<(), Problem> {
    if path.exists() {
        return Ok(());
    }
    write(path, random_hex()?.as_bytes())
}

/// A file of mode 0600 for appending, such as a log.
///
/// # Errors
///
/// When it cannot be opened.
pub fn append(path: &Path) -> Result<File, Problem> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Problem::file("open", path, &error))
}

/// The file's text, or nothing when there is no such file.
///
/// # Errors
///
/// When it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<String>, Problem> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Problem::file("read", path, &error)),
    }
}

/// 32 random bytes as 64 hexadecimal digits.
///
/// # Errors
///
/// When the system gives no random bytes.
pub fn random_hex() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Problem::new("the system gives no random bytes"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn create(path: &Path) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_alone_and_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_secret_once(&path).unwrap();
        let first = fs::read(&path).unwrap();
        write_secret_once(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(first.len(), 64);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_could_read_is_replaced_and_not_reused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "old").unwrap();
        write(&path, b"new").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().as_deref(), Some("new"));
    }
}
