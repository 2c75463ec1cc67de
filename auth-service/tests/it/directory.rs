//! A user directory in memory, which tests change and break.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use auth_service::{
    client::{DirectoryError, UserDirectory, Whose},
    domain::{
        account::{AccessSnapshot, AccountStatus, Credential, Grant, PasswordChange, PasswordHash},
        id::UserId,
    },
};
use identity_guard::{clock::Timestamp, position::Position};

/// A user as the directory holds it.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) hash: Option<PasswordHash>,
    pub(crate) version: u64,
    pub(crate) change_required: bool,
    pub(crate) status: AccountStatus,
    pub(crate) roles: Vec<String>,
    /// When the user loses all roles.
    pub(crate) roles_end_at: Option<Timestamp>,
    pub(crate) permissions: Vec<String>,
}

/// A hash that waits for its moment.
#[derive(Default)]
pub(crate) struct Overtaking(Mutex<Option<PasswordHash>>);

impl Overtaking {
    pub(crate) fn set(&self, hash: PasswordHash) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
    }

    fn take(&self) -> Option<PasswordHash> {
        let mut hash = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hash.take()
    }
}

/// The directory.
#[derive(Default)]
pub(crate) struct Directory {
    users: Mutex<HashMap<String, User>>,
    operations: Mutex<Vec<String>>,
    /// What is answered instead of the truth, with the position that it was read at.
    remembered: Mutex<Option<(HashMap<String, User>, Position)>>,
    revision: AtomicU64,
    /// Whether what is remembered is forgotten when a credential was read.
    pub(crate) remembers_once: AtomicBool,
    /// What somebody else sets right behind the next change of a password.
    pub(crate) overtaking: Overtaking,
    /// How often a credential was read.
    pub(crate) reads: AtomicU64,
    pub(crate) away: AtomicBool,
    /// Does what it is asked and loses the answer of a password change.
    pub(crate) loses_answers: AtomicBool,
}

impl Directory {
    pub(crate) fn put(&self, id: &str, user: User) {
        let mut users = self.lock();
        self.revision.fetch_add(1, Ordering::SeqCst);
        users.insert(id.to_owned(), user);
    }

    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut User)) {
        let mut users = self.lock();
        self.revision.fetch_add(1, Ordering::SeqCst);
        change(users.get_mut(id).expect("the user exists"));
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut users = self.lock();
        self.revision.fetch_add(1, Ordering::SeqCst);
        users.remove(id);
    }

    pub(crate) fn user(&self, id: &str) -> User {
        self.lock().get(id).expect("the user exists").clone()
    }

    /// Answers from now on with what holds now, as a cache without invalidation does.
    pub(crate) fn remember(&self) {
        let memory = self.truth();
        *self.memory() = Some(memory);
    }

    /// Answers with the truth again.
    pub(crate) fn forget(&self) {
        *self.memory() = None;
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Option<(HashMap<String, User>, Position)>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers are shown, and its position.
    fn shown(&self) -> (HashMap<String, User>, Position) {
        let memory = self.memory().clone();
        memory.unwrap_or_else(|| self.truth())
    }

    /// All users at one position: nobody changes them in between.
    fn truth(&self) -> (HashMap<String, User>, Position) {
        let users = self.lock();
        (users.clone(), self.position())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn available(&self) -> Result<(), DirectoryError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(DirectoryError::Unavailable { retry_after: None });
        }
        Ok(())
    }

    pub(crate) fn position(&self) -> Position {
        Position::new("directory", self.revision.load(Ordering::SeqCst))
    }

    fn access(id: &str, user: &User, position: Position) -> AccessSnapshot {
        AccessSnapshot {
            user_id: UserId::trusted(id),
            status: user.status,
            roles: user
                .roles
                .iter()
                .map(|name| Grant {
                    name: name.clone(),
                    ends_at: user.roles_end_at,
                })
                .collect(),
            direct_permissions: Vec::new(),
            effective_permissions: user.permissions.clone(),
            position,
        }
    }
}

#[tonic::async_trait]
impl UserDirectory for Directory {
    async fn find_credential(
        &self,
        whose: Whose<'_>,
    ) -> Result<Option<Credential>, DirectoryError> {
        self.available()?;
        if let Whose::Login(login) = whose
            && login.as_str().len() > 254
        {
            // As user-service answers what can be no request of ours.
            return Err(DirectoryError::Refused("login: too long".to_owned()));
        }
        let (users, position) = self.shown();
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.remembers_once.swap(false, Ordering::SeqCst) {
            self.forget();
        }
        let found = users.iter().find(|(id, user)| match whose {
            Whose::User(wanted) => wanted.as_str() == *id,
            Whose::Login(login) => [&user.username, &user.email].contains(&&login.canonical()),
        });
        Ok(found.map(|(id, user)| Credential {
            password_hash: user.hash.clone(),
            password_change_required: user.change_required,
            version: user.version,
            access: Self::access(id, user, position.clone()),
            forbidden_passwords: vec![user.username.clone()],
        }))
    }

    async fn find_access(
        &self,
        user_id: &UserId,
    ) -> Result<Option<AccessSnapshot>, DirectoryError> {
        self.available()?;
        let (users, position) = self.shown();
        let user = users.get(user_id.as_str());
        Ok(user.map(|user| Self::access(user_id.as_str(), user, position)))
    }

    async fn set_password_hash(&self, change: &PasswordChange) -> Result<(), DirectoryError> {
        self.available()?;
        let mut operations = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !operations.contains(&change.operation_id) {
            let mut users = self.lock();
            let user = users
                .get_mut(change.user_id.as_str())
                .ok_or(DirectoryError::UserGone)?;
            if user.version != change.expected_version {
                return Err(DirectoryError::Conflict);
            }
            user.hash = Some(change.password_hash.clone());
            user.version += 1;
            user.change_required = false;
            operations.push(change.operation_id.clone());
            self.revision.fetch_add(1, Ordering::SeqCst);
            if let Some(hash) = self.overtaking.take() {
                user.hash = Some(hash);
                user.version += 1;
                self.revision.fetch_add(1, Ordering::SeqCst);
            }
        }
        if self.loses_answers.load(Ordering::SeqCst) {
            return Err(DirectoryError::Unavailable { retry_after: None });
        }
        Ok(())
    }
}
