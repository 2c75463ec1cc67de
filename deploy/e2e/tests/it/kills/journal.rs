//! What the services acknowledged, written down by their clients.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use identity_proto::auth::v1::TokenSet;
use tokio::{sync::Notify, time::Instant};

/// A session whose end was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct LoggedOut {
    pub(super) tokens: TokenSet,
    pub(super) acknowledged_at: Instant,
}

/// The journal of all clients of one trial.
#[derive(Debug, Default)]
pub(super) struct Journal {
    acknowledged: AtomicUsize,
    progress: Notify,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    created_users: Vec<String>,
    /// Whether a user has the role; absent while a change is under way or its outcome is unknown.
    roles: HashMap<String, bool>,
    logged_out: Vec<LoggedOut>,
    live_sessions: Vec<TokenSet>,
    violations: Vec<String>,
}

impl Journal {
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until this many writes are acknowledged.
    pub(super) async fn reaches(&self, count: usize) {
        while self.acknowledged() < count {
            self.progress.notified().await;
        }
    }

    pub(super) fn created(&self, user_id: String) {
        self.entries().created_users.push(user_id);
        self.count();
    }

    /// A change of a user's role begins: until it is acknowledged nothing is certain.
    pub(super) fn role_is_changing(&self, user_id: &str) {
        self.entries().roles.remove(user_id);
    }

    pub(super) fn role_is(&self, user_id: &str, assigned: bool) {
        self.entries().roles.insert(user_id.to_owned(), assigned);
        self.count();
    }

    pub(super) fn logged_out(&self) -> Vec<LoggedOut> {
        self.entries().logged_out.clone()
    }

    pub(super) fn log_out(&self, tokens: TokenSet) {
        self.entries().logged_out.push(LoggedOut {
            tokens,
            acknowledged_at: Instant::now(),
        });
        self.count();
    }

    /// A session that nobody will touch again before the end.
    pub(super) fn keep_session(&self, tokens: TokenSet) {
        self.entries().live_sessions.push(tokens);
        self.count();
    }

    /// Something that must never happen.
    pub(super) fn violation(&self, what: String) {
        self.entries().violations.push(what);
    }

    pub(super) fn created_users(&self) -> Vec<String> {
        self.entries().created_users.clone()
    }

    pub(super) fn roles(&self) -> HashMap<String, bool> {
        self.entries().roles.clone()
    }

    pub(super) fn live_sessions(&self) -> Vec<TokenSet> {
        self.entries().live_sessions.clone()
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.entries().violations.clone()
    }

    pub(super) fn summary(&self) -> String {
        let entries = self.entries();
        format!(
            "{} writes acknowledged: {} users created, {} logouts, {} live sessions",
            self.acknowledged(),
            entries.created_users.len(),
            entries.logged_out.len(),
            entries.live_sessions.len()
        )
    }

    fn count(&self) {
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        self.progress.notify_waiters();
        self.progress.notify_one();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap()
    }
}
