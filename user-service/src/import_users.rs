//! Imports users at the database, from JSON Lines: for the first hour of an installation, before anybody may call.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use identity_kit::{
    audit::{Act, Actor},
    clock::SharedClock,
    config::ConfigError,
    entropy::{Entropy, SharedEntropy},
    id::new_id,
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    config::{Config, ImportUsersArgs},
    domain::{
        id::UserId,
        import::{ImportBatch, ImportRefusal, ImportResult, ImportedUser, RawUser, SourceName},
        name::PermissionName,
    },
    progress::Progress,
    setup::{self, SetupError},
    store::{self, Store},
};

/// The verb, as the audit log names it.
const VERB: &str = "import-users";
/// The most users of one transaction.
const BATCH: usize = 100;
/// The longest line, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Why not every user was imported. What was written before stays, and a repetition passes over it.
#[derive(Debug, Error)]
pub enum ImportUsersError {
    /// The database cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value is malformed.
    #[error("--source: {0}")]
    Source(String),
    /// The file cannot be read.
    #[error("--file: {0}")]
    File(#[from] io::Error),
    /// The users cannot be stored.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Some users were refused, and the others were imported.
    #[error("{refused} of {all} users were refused: mend their lines and import the file again")]
    Refused {
        /// How many.
        refused: u64,
        /// Out of how many.
        all: u64,
    },
}

/// A line: its number, and the user that it holds or why it holds none.
struct Line {
    number: u64,
    external_id: String,
    user: Result<ImportedUser, ImportRefusal>,
}

#[derive(Default)]
struct Counts {
    created: u64,
    existing: u64,
    refused: u64,
}

/// Imports the users and answers what to print: how many were created, were there, and were refused.
///
/// # Errors
/// Why not all of them are there now.
pub async fn run(
    config: &Config,
    args: &ImportUsersArgs,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Value, ImportUsersError> {
    let source = SourceName::parse(&args.source)
        .map_err(|problem| ImportUsersError::Source(problem.to_string()))?;
    let (lines, size) = open(&args.file)?;
    let database = config.database.config(false)?;
    let store = setup::open(config, &database, clock.clone(), entropy.clone()).await?;
    let mut import = Import {
        store: &store,
        clock,
        batch: ImportBatch {
            caller: None,
            source,
            dry_run: args.dry_run,
            users: Vec::new(),
        },
        progress: Progress::on_stderr(size),
        counts: Counts::default(),
        read: 0,
    };
    let done = import.all(lines, &*entropy).await;
    import.progress.end();
    let Counts {
        created,
        existing,
        refused,
    } = import.counts;
    store.database().close().await;
    done?;
    if refused > 0 {
        let all = created + existing + refused;
        return Err(ImportUsersError::Refused { refused, all });
    }
    Ok(json!({
        "created": created, "existing": existing, "refused": refused, "dry_run": args.dry_run,
    }))
}

struct Import<'s> {
    store: &'s Store,
    clock: SharedClock,
    /// What all batches have in common.
    batch: ImportBatch,
    progress: Progress,
    counts: Counts,
    /// Bytes.
    read: u64,
}

impl Import<'_> {
    async fn all(
        &mut self,
        mut lines: Box<dyn BufRead + Send>,
        entropy: &dyn Entropy,
    ) -> Result<(), ImportUsersError> {
        let mut batch: Vec<Line> = Vec::new();
        let mut number = 0;
        while let Some(raw) = next_line(&mut lines)? {
            number += 1;
            self.read += raw.len() as u64;
            if raw.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = parse(number, &raw, entropy);
            let repeated = batch
                .iter()
                .any(|other| other.external_id == line.external_id);
            if repeated || batch.len() == BATCH {
                self.write(std::mem::take(&mut batch)).await?;
            }
            batch.push(line);
        }
        self.write(batch).await
    }

    async fn write(&mut self, lines: Vec<Line>) -> Result<(), ImportUsersError> {
        let users = lines.iter().filter_map(|line| line.user.as_ref().ok());
        let batch = ImportBatch {
            users: users.cloned().collect(),
            ..self.batch.clone()
        };
        let act = Act::new(Actor::operator(VERB), VERB);
        let now = self.clock.now();
        let done = self.store.import_users(&act, &batch, now).await?;
        let mut results = done.value.into_iter();
        for line in lines {
            let result = match line.user {
                Ok(_) => results.next(),
                Err(refusal) => Some(ImportResult::Refused(refusal)),
            };
            match result {
                Some(ImportResult::Created(_)) => self.counts.created += 1,
                Some(ImportResult::Exists(_)) => self.counts.existing += 1,
                Some(ImportResult::Refused(refusal)) => {
                    self.counts.refused += 1;
                    self.progress
                        .say(&format!("line {}: {}", line.number, why(&refusal)));
                }
                None => {}
            }
        }
        let Counts {
            created,
            existing,
            refused,
        } = self.counts;
        self.progress.tell(self.read, created + existing + refused);
        Ok(())
    }
}

/// The lines of a file, and its size.
fn open(path: &Path) -> Result<(Box<dyn BufRead + Send>, Option<u64>), io::Error> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok((Box::new(BufReader::new(file)), Some(size)))
}

/// One line, which is not longer than it may be.
fn next_line(lines: &mut (dyn BufRead + Send)) -> Result<Option<Vec<u8>>, io::Error> {
    let mut line = Vec::new();
    lines.take(MAX_LINE + 1).read_until(b'\n', &mut line)?;
    if line.len() as u64 > MAX_LINE {
        let problem = format!("a line is longer than {MAX_LINE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok((!line.is_empty()).then_some(line))
}

fn parse(number: u64, raw: &[u8], entropy: &dyn Entropy) -> Line {
    let fault = |problem: String| {
        let refusal = ImportRefusal::Faults(vec![("line".to_owned(), problem)]);
        Line {
            number,
            external_id: format!("line {number}\n"),
            user: Err(refusal),
        }
    };
    let read = serde_json::from_slice(raw).and_then(|mut value: Value| {
        // The JSON of Keycloak and Firebase may stand there as it is, or in a string.
        if let Some(hash) = value.get_mut("password_hash")
            && hash.is_object()
        {
            *hash = Value::String(hash.to_string());
        }
        serde_json::from_value::<RawUser>(value)
    });
    match read {
        Ok(user) => Line {
            number,
            user: ImportedUser::parse(&user, UserId::new(new_id(entropy)))
                .map_err(ImportRefusal::Faults),
            external_id: user.external_id,
        },
        // The cause may repeat what is there.
        Err(error) if error.is_data() => {
            fault("has a field that no user has, or of another type".to_owned())
        }
        Err(error) => fault(format!("is no JSON at column {}", error.column())),
    }
}

/// Why a user was refused, without a value of a field.
fn why(refusal: &ImportRefusal) -> String {
    match refusal {
        ImportRefusal::Faults(faults) => faults
            .iter()
            .map(|(field, problem)| format!("{field} {problem}"))
            .collect::<Vec<_>>()
            .join("; "),
        ImportRefusal::UsernameTaken => "the username is taken".to_owned(),
        ImportRefusal::EmailTaken => "the e-mail address is taken".to_owned(),
        ImportRefusal::UserTypeNotFound(name) => format!("there is no user type {name}"),
        ImportRefusal::RoleNotFound(name) => format!("there is no role {name}"),
        ImportRefusal::GrantExceedsCaller(permission) => {
            let lacking = permission.as_ref().map_or("*", PermissionName::as_str);
            format!("a role gives {lacking}, which you do not hold")
        }
    }
}

#[cfg(test)]
mod tests {
    use identity_kit::testing::SeededEntropy;

    use super::*;

    fn refused(raw: &str) -> String {
        let line = parse(3, raw.as_bytes(), &SeededEntropy::new(1));
        why(&line.user.unwrap_err())
    }

    #[test]
    fn a_line_without_a_user_says_why_and_repeats_nothing() {
        assert!(refused("{\"username\": hunter2}").contains("no JSON at column"));
        let unknown = refused("{\"hunter2\": true}");
        assert!(
            unknown.contains("has a field that no user has"),
            "{unknown}"
        );
        let wrong = refused("{\"external_id\":\"1\",\"password_hash\":\"hunter2\"}");
        assert!(wrong.contains("username must not be empty"), "{wrong}");
        assert!(!wrong.contains("hunter2"), "{wrong}");
    }

    #[test]
    fn a_hash_of_json_may_stand_there_as_it_is() {
        let raw = r#"{"external_id":"1","username":"ada","email":"ada@example.org","first_name":"A","last_name":"L",
            "password_hash":{"secretData":"{\"value\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"salt\":\"c29tZXNhbHQ=\"}",
            "credentialData":"{\"hashIterations\":27500,\"algorithm\":\"pbkdf2\"}"}}"#;
        let line = parse(1, raw.as_bytes(), &SeededEntropy::new(1));
        let user = line.user.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert!(
            user.hash
                .unwrap()
                .expose()
                .starts_with("$pbkdf2-sha1$i=27500$")
        );
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_is_read() {
        let mut endless: Box<dyn BufRead + Send> = Box::new(BufReader::new(io::repeat(b'x')));
        assert!(next_line(&mut *endless).is_err());
        let mut two: Box<dyn BufRead + Send> = Box::new(&b"a\nb"[..]);
        assert_eq!(next_line(&mut *two).unwrap().unwrap(), b"a\n");
        assert_eq!(next_line(&mut *two).unwrap().unwrap(), b"b");
        assert_eq!(next_line(&mut *two).unwrap(), None);
    }
}
