//! Refusals that must come: at the service that decides at once, at every other as soon as its feed has told it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::problem::{Outcome, Problem, reason};

/// How long a service may take to hear of an end, at most: far longer than its feed does on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(1);

/// What must be refused now.
///
/// # Errors
///
/// It passed, or was refused with another reason.
pub fn expect(outcome: Result<(), Status>, expected: &str) -> Result<(), Problem> {
    match outcome {
        Err(status) if reason(&status).as_deref() == Some(expected) => Ok(()),
        Err(status) => Err(Problem::new(format!(
            "refused with {} instead of {expected}",
            Outcome(&status)
        ))),
        Ok(()) => Err(Problem::new(format!(
            "passed instead of being refused with {expected}"
        ))),
    }
}

/// Calls until the call is refused: what a service does that hears of an end from another one.
///
/// Answers how long that took.
///
/// # Errors
///
/// The call was refused with another reason, or still passes after [`PATIENCE`].
pub async fn until<C>(expected: &str, call: C) -> Result<Duration, Problem>
where
    C: AsyncFn() -> Result<(), Status>,
{
    let begin = Instant::now();
    loop {
        match call().await {
            Ok(()) if begin.elapsed() < PATIENCE => sleep(PAUSE).await,
            outcome => return expect(outcome, expected).map(|()| begin.elapsed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_passes_for_ever_is_a_problem() {
        let problem = until("TOKEN_REVOKED", async || Ok(())).await.unwrap_err();
        assert!(
            problem.to_string().starts_with("passed instead"),
            "{problem}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn another_reason_is_a_problem_at_once() {
        let calls = Cell::new(0);
        let call = async || {
            calls.set(calls.get() + 1);
            Err(Status::unavailable("away"))
        };
        until("TOKEN_REVOKED", call).await.unwrap_err();
        assert_eq!(calls.get(), 1);
    }
}
