//! What an operator is warned of.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use auth_service::domain::identifier::LoginIdentifier;
use identity_kit::password::candidate;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::harness::{ADA, PASSWORD, worlds};

#[tokio::test]
async fn an_account_that_gets_locked_is_logged_once_by_its_id_alone() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts-per-account=3"]).await;
        let log = Log::default();
        // On this thread alone, where the proof is tried.
        let logging = tracing::subscriber::set_default(log.clone());
        let authority = service.app.authority();
        let attempt = async |password: &str| {
            let ada = LoginIdentifier::parse("ada@example.org").unwrap();
            authority.prove(&ada, candidate(password), "n").await
        };
        for _ in 0..2 {
            attempt("not the password").await.unwrap_err();
        }
        // What would lock the account as a failure, and is a success.
        let proof = attempt(PASSWORD).await.unwrap();
        authority.settle(&proof).await;
        assert!(log.lines().is_empty());
        for _ in 0..5 {
            attempt("not the password").await.unwrap_err();
        }
        let ghost = LoginIdentifier::parse("ghost").unwrap();
        for _ in 0..5 {
            let unknown = authority.prove(&ghost, candidate(PASSWORD), "n").await;
            unknown.unwrap_err();
        }
        drop(logging);
        let locked = "an account is locked after too many attempts";
        assert_eq!(log.lines(), [format!("message={locked} user_id={ADA}")]);
        service.stop().await;
    }
}

/// Collects warnings with their fields.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::WARN
            && metadata.target().starts_with("auth_service")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        write!(self.0, "{space}{field}={value:?}").unwrap();
    }
}
