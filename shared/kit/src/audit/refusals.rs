//! Refusals for want of a right: written beside the calls, counted where there are many, never waited for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use identity_guard::{caller::Caller, layer::Witness};
use prometheus::{IntCounter, Registry};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    entry::{Act, Actor, ActorKind, Entry, Outcome, Record},
    log::AuditLog,
};
use crate::{
    clock::SharedClock,
    context,
    database::{Database, StoreError},
};

/// How long refusals of one actor and method are counted after the first, which is written at once.
const WINDOW: Duration = Duration::from_mins(1);
/// Most pairs of actor and method that are counted at a time: with two rows for each and window, what a flood of
/// refusals can write is bounded.
const MAX_PAIRS: usize = 256;

/// An act that was refused for want of a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The act.
    pub act: Act,
    /// The reason that the caller was told, or would have been if it could know.
    pub reason: &'static str,
    /// The permission or scope that was lacking; empty when it was another right.
    pub lacking: String,
}

/// What waits to be written.
pub struct Refusals {
    waiting: Mutex<Waiting>,
    wake: Notify,
    clock: SharedClock,
    seen: IntCounter,
    dropped: IntCounter,
}

type Pair = (ActorKind, String, String);

#[derive(Debug, Default)]
struct Waiting {
    pairs: HashMap<Pair, Counted>,
    /// Those that found no place, since the last that was written.
    dropped: u64,
}

#[derive(Debug)]
struct Counted {
    /// The last of them.
    refused: Refused,
    /// How many are not written.
    unsaid: u64,
    /// When the counting ends, once one is written; of the clock's steady time.
    until: Option<Duration>,
}

impl Refusals {
    /// Nothing waits.
    ///
    /// # Panics
    ///
    /// Never: the names of the metrics are good.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let counter = |name: &str, help: &str| {
            let Ok(counter) = IntCounter::new(name, help) else {
                unreachable!("the name of a metric is good");
            };
            counter
        };
        Self {
            waiting: Mutex::default(),
            wake: Notify::new(),
            clock,
            seen: counter(
                "audit_refusals_total",
                "Calls that were refused for want of a right.",
            ),
            dropped: counter(
                "audit_refusals_dropped_total",
                "Refusals that the audit log does not tell one by one, since there were too many or the database did not take them.",
            ),
        }
    }

    /// Shows the metrics.
    ///
    /// # Errors
    ///
    /// The registry has metrics of these names.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.seen.clone()))?;
        registry.register(Box::new(self.dropped.clone()))
    }

    /// Takes a refusal, to be written soon or counted. Waits for nothing.
    pub fn record(&self, refused: Refused) {
        self.seen.inc();
        if self.lock().record(refused) {
            self.wake.notify_one();
        } else {
            self.dropped.inc();
        }
    }

    /// Writes what waits until it is told to end, and then what is left.
    pub async fn write(
        self: Arc<Self>,
        database: Database,
        log: Arc<AuditLog>,
        cancel: CancellationToken,
    ) {
        let write = async {
            loop {
                self.write_due(&database, &log, self.clock.elapsed()).await;
                let wait = self.lock().wait(self.clock.elapsed());
                // Another one, or the end of a window.
                drop(tokio::time::timeout(wait, self.wake.notified()).await);
            }
        };
        let _ = cancel.run_until_cancelled(write).await;
        self.write_due(&database, &log, Duration::MAX).await;
    }

    async fn write_due(&self, database: &Database, log: &Arc<AuditLog>, now: Duration) {
        let (entries, dropped) = self.lock().take(now);
        if entries.is_empty() {
            return;
        }
        let (count, log) = (entries.len() as u64, Arc::clone(log));
        let written = database
            .write(move |transaction| {
                for entry in &entries {
                    transaction.audit(&log, entry.clone());
                }
                Box::pin(async { Ok::<_, StoreError>(()) })
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(error = ?error, count, "refusals were not written into the audit log");
            self.dropped.inc_by(count);
            self.lock().dropped += count + dropped;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether there was a place for it.
    fn record(&mut self, refused: Refused) -> bool {
        let Act { actor, action, .. } = &refused.act;
        let pair = (actor.kind, actor.id.clone(), action.clone().into_owned());
        let is_full = self.pairs.len() >= MAX_PAIRS;
        match self.pairs.get_mut(&pair) {
            Some(counted) => {
                counted.refused = refused;
                counted.unsaid += 1;
            }
            None if is_full => {
                self.dropped += 1;
                return false;
            }
            None => {
                let counted = Counted {
                    refused,
                    unsaid: 1,
                    until: None,
                };
                self.pairs.insert(pair, counted);
            }
        }
        true
    }

    /// What is to be written now: the first of each pair, and the count of each whose window has ended. Also how many
    /// were dropped, which the first of them says.
    fn take(&mut self, now: Duration) -> (Vec<Entry>, u64) {
        let mut due = Vec::new();
        self.pairs.retain(|_, counted| {
            let ended = counted.until.is_some_and(|until| until <= now);
            if counted.unsaid > 0 && (ended || counted.until.is_none()) {
                due.push((counted.refused.clone(), counted.unsaid));
                counted.unsaid = 0;
                counted.until = Some(now.saturating_add(WINDOW));
                return true;
            }
            !ended
        });
        let dropped = if due.is_empty() {
            0
        } else {
            std::mem::take(&mut self.dropped)
        };
        let entries = due
            .into_iter()
            .enumerate()
            .map(|(place, (refused, count))| {
                let mut record = Record::default()
                    .fact("reason", refused.reason)
                    .fact("count", count.to_string());
                if !refused.lacking.is_empty() {
                    record = record.fact("lacking", refused.lacking);
                }
                if place == 0 && dropped > 0 {
                    record = record.fact("dropped", dropped.to_string());
                }
                Entry {
                    act: refused.act,
                    outcome: Outcome::Refused,
                    record,
                }
            });
        (entries.collect(), dropped)
    }

    /// How long until something is due by itself.
    fn wait(&self, now: Duration) -> Duration {
        let ends = self.pairs.values().filter_map(|counted| counted.until);
        ends.min().map_or(WINDOW, |until| until.saturating_sub(now))
    }
}

impl Witness for Refusals {
    fn refused(&self, method: &str, caller: &Caller, lacking: &str, request: &http::Extensions) {
        let (actor, reason) = match caller {
            Caller::User(user) => (
                Actor::user(user.user_id.as_str(), user.session_id.as_str()),
                "PERMISSION_REQUIRED",
            ),
            Caller::Service(service) => (Actor::service(service.name.as_str()), "SCOPE_REQUIRED"),
            Caller::Anonymous => return,
        };
        // The path has a rule, so it is one of the contract's, and methods have names of their own.
        let action = method.rsplit('/').next().unwrap_or_default().to_owned();
        self.record(Refused {
            act: Act::new(actor, action).by_request(context::request_id(request)),
            reason,
            lacking: lacking.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(user: &str, action: &'static str) -> Refused {
        Refused {
            act: Act::new(Actor::user(user, "s"), action),
            reason: "PERMISSION_REQUIRED",
            lacking: "users.read".to_owned(),
        }
    }

    fn counts(entries: &[Entry]) -> Vec<String> {
        entries
            .iter()
            .map(|entry| entry.record.plain.facts["count"].clone())
            .collect()
    }

    #[test]
    fn the_first_is_written_at_once_and_the_others_are_counted() {
        let mut waiting = Waiting::default();
        assert!(waiting.record(refused("ada", "ListUsers")));
        assert_eq!(counts(&waiting.take(Duration::ZERO).0), ["1"]);
        for _ in 0..500 {
            assert!(waiting.record(refused("ada", "ListUsers")));
        }
        assert!(waiting.take(WINDOW / 2).0.is_empty());
        assert_eq!(waiting.wait(WINDOW / 2), WINDOW / 2);
        assert_eq!(counts(&waiting.take(WINDOW).0), ["500"]);
        // And nothing is kept of whoever is quiet.
        assert!(waiting.take(WINDOW * 2).0.is_empty());
        assert!(waiting.pairs.is_empty());
    }

    #[test]
    fn beyond_the_bound_they_are_dropped_and_the_next_row_says_how_many() {
        let mut waiting = Waiting::default();
        for number in 0..MAX_PAIRS {
            assert!(waiting.record(refused(&number.to_string(), "ListUsers")));
        }
        for _ in 0..7 {
            assert!(!waiting.record(refused("one too many", "ListUsers")));
        }
        assert!(waiting.record(refused("0", "ListUsers")), "it has a place");
        let (entries, dropped) = waiting.take(Duration::ZERO);
        assert_eq!((entries.len(), dropped), (MAX_PAIRS, 7));
        assert_eq!(entries[0].record.plain.facts["dropped"], "7");
        assert!(!entries[1].record.plain.facts.contains_key("dropped"));
    }

    #[test]
    fn what_is_left_at_the_end_is_due() {
        let mut waiting = Waiting::default();
        waiting.record(refused("ada", "ListUsers"));
        waiting.take(Duration::ZERO);
        waiting.record(refused("ada", "ListUsers"));
        assert_eq!(counts(&waiting.take(Duration::MAX).0), ["1"]);
    }
}
