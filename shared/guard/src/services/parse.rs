//! Reading service identities from configuration: `name;scopes=a,b;key-file=/path;san=uri`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{SERVICE_KEY_MIN_BYTES, ServiceIdentities, ServiceIdentity, sha256};

/// What is wrong with a configured service identity.
#[derive(Debug, thiserror::Error)]
pub enum ServiceIdentityError {
    /// The text is not `name;scopes=…;key-file=…;san=…`.
    #[error(
        "service identity {text:?}: {problem}; expected `name;scopes=a,b;key-file=/path` or `…;san=spiffe://…`"
    )]
    Syntax {
        /// The text as configured; it holds no secret.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The key file cannot be read.
    #[error("service key file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The key is too short, or not visible ASCII.
    #[error(
        "service key file {path}: the key must be at least {SERVICE_KEY_MIN_BYTES} characters of visible ASCII"
    )]
    UnusableKey {
        /// The file.
        path: PathBuf,
    },
    /// Two identities share a name, a key or a subject alternative name, so the caller could not be told.
    #[error("service identity {name:?} shares its {what} with another one")]
    Ambiguous {
        /// The second of the two.
        name: String,
        /// What they share.
        what: &'static str,
    },
}

impl ServiceIdentities {
    /// Reads identities such as `auth-service;scopes=credentials;key-file=/run/key` and
    /// `gateway;scopes=access_feed;san=spiffe://example.org/gateway`. `key-file` and `san` may be repeated.
    ///
    /// # Errors
    /// Names the first text, file or ambiguity that is wrong.
    pub fn parse<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, ServiceIdentityError> {
        let mut identities = Self::default();
        for text in texts {
            identities.add(text.as_ref())?;
        }
        Ok(identities)
    }

    fn add(&mut self, text: &str) -> Result<(), ServiceIdentityError> {
        let syntax = |problem| ServiceIdentityError::Syntax {
            text: text.to_owned(),
            problem,
        };
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty());
        let name = name
            .ok_or_else(|| syntax("the name is missing"))?
            .to_owned();
        let ambiguous = |what| ServiceIdentityError::Ambiguous {
            name: name.clone(),
            what,
        };
        if self.identities.iter().any(|other| other.name == name) {
            return Err(ambiguous("name"));
        }

        let index = self.identities.len();
        let mut scopes = std::collections::BTreeSet::new();
        let mut has_proof = false;
        for part in parts {
            match part.split_once('=') {
                Some(("scopes", list)) => {
                    scopes.extend(
                        list.split(',')
                            .map(str::trim)
                            .filter(|s| !s.is_empty())
                            .map(str::to_owned),
                    );
                }
                Some(("key-file", path)) => {
                    let digest = sha256(read_key(Path::new(path))?.as_bytes());
                    if self.keys.iter().any(|(known, _)| *known == digest) {
                        return Err(ambiguous("key"));
                    }
                    self.keys.push((digest, index));
                    has_proof = true;
                }
                Some(("san", san)) if !san.is_empty() => {
                    if self.sans.insert(san.to_owned(), index).is_some() {
                        return Err(ambiguous("subject alternative name"));
                    }
                    has_proof = true;
                }
                _ => return Err(syntax("an unknown or empty part")),
            }
        }
        if scopes.is_empty() {
            return Err(syntax("the scopes are missing"));
        }
        if !has_proof {
            return Err(syntax("neither a key file nor a subject alternative name"));
        }
        self.identities.push(ServiceIdentity { name, scopes });
        Ok(())
    }
}

/// Reads a service key: the file's text without white space around it.
pub(crate) fn read_key(path: &Path) -> Result<String, ServiceIdentityError> {
    let text = fs::read_to_string(path).map_err(|source| ServiceIdentityError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let key = text.trim();
    // It travels as metadata, so it must be what a header can hold.
    if key.len() < SERVICE_KEY_MIN_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ServiceIdentityError::UnusableKey {
            path: path.to_owned(),
        });
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "first-key-first-key-first-key-first-key";
    const SECOND: &str = "second-key-second-key-second-key-second";

    fn key_file(folder: &tempfile::TempDir, name: &str, key: &str) -> String {
        let path = folder.path().join(name);
        fs::write(&path, format!("{key}\n")).expect("write");
        path.display().to_string()
    }

    #[test]
    fn two_keys_of_one_identity_are_valid_at_once() {
        let folder = tempfile::tempdir().expect("folder");
        let text = format!(
            "auth-service;scopes=credentials,access_feed;key-file={};key-file={}",
            key_file(&folder, "a", FIRST),
            key_file(&folder, "b", SECOND),
        );
        let identities = ServiceIdentities::parse([text]).expect("identities");
        for key in [FIRST, SECOND] {
            let identity = identities.by_key(key.as_bytes()).expect("known");
            assert_eq!(identity.name, "auth-service");
            assert!(identity.allows("credentials") && identity.allows("access_feed"));
            assert!(!identity.allows("other"));
        }
        assert_eq!(identities.by_key(b"first-key"), None);
        assert_eq!(identities.by_key(b""), None);
    }

    #[test]
    fn a_certificate_name_matches_only_as_a_whole() {
        let identities =
            ServiceIdentities::parse(["guard;scopes=access_feed;san=spiffe://a/guard"])
                .expect("ok");
        let known = |san: &str| identities.by_sans(&[san.to_owned()]).is_some();
        assert!(known("spiffe://a/guard"));
        assert!(!known("spiffe://a/guard2"));
        assert!(!known("spiffe://a"));
        assert!(identities.by_sans(&[]).is_none());
    }

    #[test]
    fn what_cannot_be_told_apart_or_proven_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let key = key_file(&folder, "a", FIRST);
        let short = key_file(&folder, "b", "short");
        for texts in [
            vec![String::new()],
            vec!["a;scopes=x".to_owned()],
            vec!["a;san=s".to_owned()],
            vec!["a;scopes=x;san=".to_owned()],
            vec!["a;scopes=x;colour=red;san=s".to_owned()],
            vec![format!("a;scopes=x;key-file={short}")],
            vec!["a;scopes=x;key-file=/nowhere".to_owned()],
            vec!["a;scopes=x;san=s".to_owned(), "b;scopes=x;san=s".to_owned()],
            vec!["a;scopes=x;san=s".to_owned(), "a;scopes=x;san=t".to_owned()],
            vec![
                format!("a;scopes=x;key-file={key}"),
                format!("b;scopes=x;key-file={key}"),
            ],
        ] {
            assert!(ServiceIdentities::parse(&texts).is_err(), "{texts:?}");
        }
    }
}
