//! The journal of erasures: ids, one a line, appended and never taken out.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use super::{Files, RestoreError, files};

/// The longest id, in characters.
const LONGEST: usize = 64;
/// Ids that are given at once.
const PART: usize = 500;

/// How long the journal is; nothing where there is none.
pub(super) fn length(path: &Path) -> Result<u64, RestoreError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(files::failed(path)(error)),
    }
}

/// Appends ids, which have outlasted a loss of power when this returns; how long the journal is then.
pub(super) fn append(path: &Path, ids: &[String]) -> Result<u64, RestoreError> {
    let mut file = files::append_to(path)?;
    let mut written = || {
        let mut text = String::new();
        // Half a line that a killed writer left would make its beginning a part of the next id.
        if ends_within_a_line(&mut file)? {
            text.push('\n');
        }
        for id in ids {
            text.push_str(id);
            text.push('\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        files::sync_folder(path)?;
        Ok(file.metadata()?.len())
    };
    written().map_err(files::failed(path))
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The ids of a journal, in parts. An id may come twice, and half of one where a writer was killed: it names nobody,
/// and the whole one follows.
#[derive(Debug)]
pub struct ErasedIds {
    lines: BufReader<File>,
    files: Files,
}

impl ErasedIds {
    pub(super) fn open(files: &Files) -> Result<Option<Self>, RestoreError> {
        match File::open(&files.journal) {
            Ok(file) => Ok(Some(Self {
                lines: BufReader::new(file),
                files: files.clone(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files::failed(&files.journal)(error)),
        }
    }

    /// The next ids; none after the last.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, or holds something else.
    pub fn next_part(&mut self) -> Result<Vec<String>, RestoreError> {
        let mut part = Vec::new();
        while part.len() < PART {
            let mut line = String::new();
            let most = LONGEST as u64 + 2;
            let read = (&mut self.lines).take(most).read_line(&mut line);
            if read.map_err(files::failed(&self.files.journal))? == 0 {
                break;
            }
            let id = line.strip_suffix('\n').unwrap_or(&line);
            if !is_id(id) {
                let problem = "is no journal of erasures".to_owned();
                return Err(self.files.bad_journal(problem));
            }
            part.push(id.to_owned());
        }
        Ok(part)
    }
}

fn is_id(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_valid)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::restore::State;

    fn place(folder: &Path) -> (State, PathBuf) {
        let state = State::in_folder("user-service", folder);
        (state, folder.join("user-service.erasures"))
    }

    fn all(state: &State) -> Result<Vec<String>, RestoreError> {
        let mut ids = Vec::new();
        let Some(mut erased) = state.erased()? else {
            return Ok(ids);
        };
        loop {
            let part = erased.next_part()?;
            if part.is_empty() {
                return Ok(ids);
            }
            ids.extend(part);
        }
    }

    fn ids(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|number| format!("user{number:020}")).collect()
    }

    #[test]
    fn ids_are_read_in_parts_as_they_were_appended() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, path) = place(folder.path());
        assert_eq!(all(&state).expect("reads"), Vec::<String>::new());
        append(&path, &ids(0..700)).expect("appends");
        let bytes = append(&path, &ids(700..1_300)).expect("appends");
        assert_eq!(bytes, 1_300 * 25);
        assert_eq!(all(&state).expect("reads"), ids(0..1_300));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn half_a_line_is_passed_over_and_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, path) = place(folder.path());
        append(&path, &ids(0..2)).expect("appends");
        let whole = fs::read_to_string(&path).expect("reads");
        for torn in 1..25 {
            fs::write(&path, &whole[..25 + torn]).expect("writes");
            append(&path, &ids(1..3)).expect("appends");
            let read = all(&state).expect("reads");
            for id in ids(0..3) {
                assert!(read.contains(&id), "{torn}: {read:?}");
            }
            assert!(read.len() <= 4, "{read:?}");
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, path) = place(folder.path());
        for text in [
            "{}\n",
            "\n",
            "User\n",
            &format!("{}\n", "a".repeat(65)),
            "\u{fffd}",
        ] {
            fs::write(&path, text).expect("writes");
            let error = all(&state).expect_err("is refused").to_string();
            assert!(error.contains("no journal"), "{text:?}: {error}");
        }
    }
}
