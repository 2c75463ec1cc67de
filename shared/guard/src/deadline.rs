//! The deadline of the call that the current task serves, so that calls made on its behalf carry it on.

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Option<Instant>;
}

/// The deadline of the current call; `None` outside of a call and for a call without one.
#[must_use]
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// Runs a future under a deadline. Within another scope the earlier of the two counts.
///
/// The future is not ended when the deadline passes: that is the caller's to do.
pub async fn scope<F: Future>(deadline: Option<Instant>, work: F) -> F::Output {
    let outer = current();
    let earlier = deadline.into_iter().chain(outer).min();
    DEADLINE.scope(earlier, work).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_inner_scope_never_extends_the_outer_one() {
        let soon = Instant::now() + Duration::from_secs(1);
        let late = soon + Duration::from_secs(1);
        assert_eq!(current(), None);
        scope(Some(soon), async {
            assert_eq!(current(), Some(soon));
            scope(Some(late), async { assert_eq!(current(), Some(soon)) }).await;
            scope(None, async { assert_eq!(current(), Some(soon)) }).await;
        })
        .await;
        scope(
            Some(late),
            scope(Some(soon), async { assert_eq!(current(), Some(soon)) }),
        )
        .await;
    }
}
