//! Surviving a restored database: what is kept outside of it, and what that is compared with.
//!
//! A database that is put back to an earlier copy does not know what it has lost: sessions that were ended are live
//! again, and people who were erased are back. So two things are kept in files, apart from it:
//!
//! - the **marker**: the epoch and the revision that the feed had come to, with the nonce of that event;
//! - the **journal** of erasures (user-service): the id of everybody who was erased, one a line, and nothing else.
//!
//! A [`Keeper`] follows the own feed and writes both: the journal is written and synced before the marker passes what
//! it tells. `serve` compares the marker with the database and refuses where it has not what the marker says; the verb
//! `after-restore` makes of a restored database one that can be served, and writes the marker last.
//!
//! | what happens | what comes of it |
//! |---|---|
//! | the database is put back, or a failover loses the end | the row at the marker is absent or another: refused |
//! | it is put back from before an earlier `after-restore` | the marker's epoch is not known to it: refused |
//! | it is put back beneath a process that serves | the keeper sees it within a second: the process ends, as if it began now |
//! | it is put back to what it was within the last second | the marker may not have been further: not noticed |
//! | the folder is put back with it, or is lost | not noticed here; cursors of watchers still are (see [`crate::outbox`]) |
//! | `after-restore` was run on another machine | the marker's epoch is among the ended ones: taken, and written anew |
//! | `after-restore` is killed in the middle | the epoch is marked as about to end: refused until it is run again |
//! | it is run while replicas serve (PostgreSQL) | they begin the feed anew, their watchers are reset, the keeper follows |
//! | killed between a commit and the files | the keeper goes on from the marker: nothing is left out, an id may stand twice |
//! | killed while a file is written | the marker is replaced whole; half a line of the journal is passed over, and comes again |
//! | the row at the marker was trimmed | nothing can be compared and nothing is refused; the journal may have a gap, which is logged |
//! | the journal begins behind the copy: the gap, or a younger replica's folder | the verb says so, and goes on only when it is forced |
//! | another database is put in its place, such as an empty one | no common history: refused; whoever means it removes the marker |
//! | two processes share the folder | one of them writes, the other stands by |
//! | the folder cannot be written, or the marker is damaged | refused at the start; logged, and tried again, while it serves |
//! | there is no marker | the first start: it is made |
//!
//! Whoever can write to the folder can have people erased at the next restore: it is as worth guarding as the database.
//!
//! A line of the journal has 25 bytes: a million erasures take 25 MB, and are never fewer, since the copy that is put
//! back may be of any age.

mod check;
mod files;
mod journal;
mod keeper;
mod marker;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    check::{Standing, admit, compare},
    journal::ErasedIds,
    keeper::{Erasure, Keeper, Kept},
    marker::Marker,
};
use crate::database::{StoreError, beside};

/// Where a service keeps what must outlive its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    service: &'static str,
    files: Option<Files>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    marker: PathBuf,
    journal: PathBuf,
    lock: PathBuf,
}

/// Why a database is not served, or what is kept beside it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It has not what it had when the marker was written.
    #[error(
        "--state-dir: the database has not the change that it had come to by {} (revision {revision}): it was put back \
         to an earlier copy; run `{service} after-restore`", marker.display()
    )]
    PutBack {
        /// The service.
        service: &'static str,
        /// The file.
        marker: PathBuf,
        /// What the marker says.
        revision: u64,
    },
    /// It shares no history with the marker.
    #[error(
        "--state-dir: the database is not the one of {}; if it was restored, run `{service} after-restore`; if it is \
         meant to be another one, remove that file", marker.display()
    )]
    Foreign {
        /// The service.
        service: &'static str,
        /// The file.
        marker: PathBuf,
    },
    /// The verb was begun and did not come to its end.
    #[error("`{service} after-restore` was begun on this database and did not end: run it again")]
    Begun {
        /// The service.
        service: &'static str,
    },
    /// The marker is none of this service.
    #[error("--state-dir: {} is no marker of {service}: {problem}; put the right file there, or remove it", marker.display())]
    Damaged {
        /// The service.
        service: &'static str,
        /// The file.
        marker: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The journal is shorter than it was, or holds something else.
    #[error(
        "--state-dir: {} {problem}; put the whole file there, or remove it and {} to begin anew without \
         what it held", journal.display(), marker.display()
    )]
    Journal {
        /// The file.
        journal: PathBuf,
        /// The marker beside it.
        marker: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The journal begins behind the copy.
    #[error(
        "--state-dir: {} tells who was erased behind revision {since}, and the database was put back to revision \
         {revision}: use the folder of a process that has served for longer, or --force to go on without those in \
         between", journal.display()
    )]
    Incomplete {
        /// The file.
        journal: PathBuf,
        /// What it begins behind.
        since: u64,
        /// What the database was put back to.
        revision: u64,
    },
    /// Nothing tells who was erased.
    #[error(
        "nothing tells who was erased since the copy: give the --state-dir that the service has, or --force to let \
         everybody in the copy live again"
    )]
    NothingKept,
    /// A file cannot be read or written.
    #[error("--state-dir: {}: {source}; let it be in a folder that this user may write to", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl State {
    /// In a folder of its own.
    #[must_use]
    pub fn in_folder(service: &'static str, folder: &Path) -> Self {
        Self::named(service, &folder.join(service))
    }

    /// Beside the file of a database.
    #[must_use]
    pub fn beside(service: &'static str, database: &Path) -> Self {
        Self::named(service, database)
    }

    /// Nowhere.
    #[must_use]
    pub const fn none(service: &'static str) -> Self {
        let files = None;
        Self { service, files }
    }

    fn named(service: &'static str, name: &Path) -> Self {
        let files = Some(Files {
            marker: beside(name, ".marker"),
            journal: beside(name, ".erasures"),
            lock: beside(name, ".marker-lock"),
        });
        Self { service, files }
    }

    /// The marker; nothing before the first one, or where nothing is kept.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no marker of this service.
    pub fn marker(&self) -> Result<Option<Marker>, RestoreError> {
        match &self.files {
            Some(files) => marker::read(self.service, &files.marker),
            None => Ok(None),
        }
    }

    /// Replaces the marker.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn mark(&self, marker: &Marker) -> Result<(), RestoreError> {
        match &self.files {
            Some(files) => marker::write(self.service, &files.marker, marker),
            None => Ok(()),
        }
    }

    /// Refuses a journal that begins behind the revision to which a database was put back.
    ///
    /// # Errors
    ///
    /// It does, or the marker cannot be read.
    pub fn require_journal_since(&self, revision: u64) -> Result<(), RestoreError> {
        let (Some(files), Some(marker)) = (&self.files, self.marker()?) else {
            return Ok(());
        };
        if marker.journal_since <= revision {
            return Ok(());
        }
        Err(RestoreError::Incomplete {
            journal: files.journal.clone(),
            since: marker.journal_since,
            revision,
        })
    }

    /// Refuses where there is neither a marker nor a journal: another folder than the service's, or none.
    ///
    /// # Errors
    ///
    /// That, or the files cannot be used.
    pub fn require_kept(&self) -> Result<(), RestoreError> {
        let Some(files) = &self.files else {
            return Err(RestoreError::NothingKept);
        };
        if self.marker()?.is_none() && journal::length(&files.journal)? == 0 {
            return Err(RestoreError::NothingKept);
        }
        Ok(())
    }

    /// Everybody who was erased, in parts; nobody where nothing is kept.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, or has become shorter.
    pub fn erased(&self) -> Result<Option<ErasedIds>, RestoreError> {
        let Some(files) = &self.files else {
            return Ok(None);
        };
        let bytes = self.marker()?.map_or(0, |marker| marker.journal_bytes);
        files.require_journal(bytes)?;
        ErasedIds::open(files)
    }
}

impl Files {
    /// Sees that the journal is as long as it was at least.
    fn require_journal(&self, bytes: u64) -> Result<(), RestoreError> {
        let length = journal::length(&self.journal)?;
        if length < bytes {
            let problem = format!("holds {length} bytes, and held {bytes} before");
            return Err(self.bad_journal(problem));
        }
        Ok(())
    }

    fn bad_journal(&self, problem: String) -> RestoreError {
        RestoreError::Journal {
            journal: self.journal.clone(),
            marker: self.marker.clone(),
            problem,
        }
    }
}
