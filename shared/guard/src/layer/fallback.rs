//! What happens to a token while the own state is too old to judge it: one question to who knows, or a refusal.

mod remote;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use tokio::sync::Semaphore;

pub use remote::RemoteFallback;

use crate::{engine::VerifiedToken, status::Failure};

/// Who is asked about a token while the own state is stale.
#[tonic::async_trait]
pub trait TokenFallback: Send + Sync + 'static {
    /// Whether a token is good now. The answer must come from a source that is not stale itself.
    ///
    /// # Errors
    /// The refusal, with a reason of the token; UNAVAILABLE / `DEPENDENCY_UNAVAILABLE` when nobody knows.
    async fn validate(&self, token: &str) -> Result<Arc<VerifiedToken>, Failure>;
}

/// How many questions may be open at once.
const MAX_OPEN: usize = 64;

/// How long a caller waits for an answer, its turn included.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// When a refused caller may come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type Answer = Result<Arc<VerifiedToken>, Failure>;
type Question = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Questions on their way: one for each token, however many callers bring it.
///
/// Nothing is remembered once answered, neither a yes nor an error.
pub(super) struct Flights {
    fallback: Arc<dyn TokenFallback>,
    max_wait: Duration,
    open: Arc<Semaphore>,
    flying: Mutex<HashMap<[u8; 32], WeakShared<Question>>>,
}

impl Flights {
    pub(super) fn new(fallback: Arc<dyn TokenFallback>) -> Self {
        Self {
            fallback,
            max_wait: MAX_WAIT,
            open: Arc::new(Semaphore::new(MAX_OPEN)),
            flying: Mutex::default(),
        }
    }

    /// The answer about a token, or UNAVAILABLE when there is none in time.
    pub(super) async fn validate(&self, token: &str) -> Answer {
        let question = self.join(token);
        tokio::time::timeout(self.max_wait, question)
            .await
            .unwrap_or_else(|_| Err(unavailable()))
    }

    /// The question about a token: the one that is on its way, or a new one.
    fn join(&self, token: &str) -> Shared<Question> {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        // An answered question that somebody still holds is the past: ask anew.
        let on_its_way = |weak: &WeakShared<Question>| {
            weak.upgrade().filter(|question| question.peek().is_none())
        };
        if let Some(question) = flying.get(&key).and_then(on_its_way) {
            return question;
        }
        if flying.len() >= 2 * MAX_OPEN {
            flying.retain(|_, weak| on_its_way(weak).is_some());
        }
        let question = ask(
            Arc::clone(&self.fallback),
            Arc::clone(&self.open),
            self.max_wait,
            token.to_owned(),
        )
        .shared();
        if let Some(weak) = question.downgrade() {
            flying.insert(key, weak);
        }
        question
    }
}

fn ask(
    fallback: Arc<dyn TokenFallback>,
    open: Arc<Semaphore>,
    max_wait: Duration,
    token: String,
) -> Question {
    Box::pin(async move {
        let _turn = open.acquire().await.map_err(|_| unavailable())?;
        // Bounded here too, since a caller may join late: no answer is older than this to anybody.
        tokio::time::timeout(max_wait, fallback.validate(&token))
            .await
            .unwrap_or_else(|_| Err(unavailable()))
    })
}

/// The refusal while nobody knows.
pub(super) fn unavailable() -> Failure {
    Failure::unavailable("what decides about access tokens", RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::status::ErrorReason;

    /// Answers a refusal, when told to.
    #[derive(Default)]
    struct Slow {
        asked: AtomicUsize,
        open: Arc<()>,
        most_open: AtomicUsize,
        go: Notify,
    }

    #[tonic::async_trait]
    impl TokenFallback for Slow {
        async fn validate(&self, _token: &str) -> Answer {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let _open = Arc::clone(&self.open);
            let open = Arc::strong_count(&self.open) - 1;
            self.most_open.fetch_max(open, Ordering::SeqCst);
            self.go.notified().await;
            Err(Failure::new(ErrorReason::TokenRevoked, ""))
        }
    }

    #[tokio::test]
    async fn callers_with_one_token_share_one_question_and_no_answer_is_kept() {
        let slow = Arc::new(Slow::default());
        let flights = Flights::new(slow.clone());
        for round in 1..=2 {
            let (a, b, ()) = tokio::join!(flights.validate("t"), flights.validate("t"), async {
                while slow.asked.load(Ordering::SeqCst) < round {
                    tokio::task::yield_now().await;
                }
                slow.go.notify_one();
            });
            for answer in [a, b] {
                let reason = answer.map(drop).map_err(|failure| failure.reason());
                assert_eq!(reason, Err(ErrorReason::TokenRevoked));
            }
            assert_eq!(slow.asked.load(Ordering::SeqCst), round);
        }
    }

    #[tokio::test]
    async fn a_caller_waits_a_bounded_time_and_questions_are_bounded_in_number() {
        let slow = Arc::new(Slow::default());
        let mut flights = Flights::new(slow.clone());
        flights.max_wait = Duration::from_millis(50);
        let tokens: Vec<String> = (0..3 * MAX_OPEN).map(|n| format!("t{n}")).collect();
        let waiting = tokens.iter().map(|token| flights.validate(token));
        for answer in futures_util::future::join_all(waiting).await {
            let reason = answer.map(drop).map_err(|failure| failure.reason());
            assert_eq!(reason, Err(ErrorReason::DependencyUnavailable));
        }
        assert_eq!(slow.most_open.load(Ordering::SeqCst), MAX_OPEN);
    }
}
