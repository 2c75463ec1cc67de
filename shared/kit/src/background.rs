//! What goes on beside the calls: tasks that end together, within a bound, and never outlive their owner.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How long tasks may take to end once they are told to.
const BOUND: Duration = Duration::from_secs(5);

/// The tasks of a service. When this is dropped, as by a start that fails halfway, they end wherever they are.
#[derive(Debug, Default)]
pub struct Background {
    until: CancellationToken,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Background {
    /// Cancelled when the tasks have to end.
    #[must_use]
    pub fn until(&self) -> CancellationToken {
        self.until.clone()
    }

    /// Runs a task beside the calls.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.keep(tokio::spawn(task));
    }

    /// Takes a task that runs already.
    pub fn keep(&mut self, task: JoinHandle<()>) {
        self.tasks.push(AbortOnDropHandle::new(task));
    }

    /// Tells the tasks to end and waits for them; those that take too long are ended wherever they are.
    pub async fn end(self) {
        self.end_within(BOUND).await;
    }

    async fn end_within(mut self, bound: Duration) {
        self.until.cancel();
        let all = async {
            for task in &mut self.tasks {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a task ended in the middle");
                }
            }
        };
        if tokio::time::timeout(bound, all).await.is_err() {
            tracing::warn!("a task did not end in time");
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.until.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Waits until nobody but the test holds a thing.
    async fn let_go(held: &Arc<()>) {
        tokio::time::timeout(PATIENCE, async {
            while Arc::strong_count(held) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("is let go");
    }

    /// Holds a thing for ever, whatever it is told.
    async fn stubborn(held: Arc<()>) {
        pending::<()>().await;
        drop(held);
    }

    #[tokio::test]
    async fn a_task_that_is_told_to_end_does_its_last_things() {
        let mut background = Background::default();
        let (until, (done, last)) = (background.until(), tokio::sync::oneshot::channel());
        background.spawn(async move {
            until.cancelled().await;
            tokio::task::yield_now().await;
            assert!(done.send(()).is_ok(), "somebody waits");
        });
        background.end().await;
        last.await.expect("was waited for");
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_holds_nothing_up() {
        let held = Arc::new(());
        let mut background = Background::default();
        background.spawn(stubborn(Arc::clone(&held)));
        background.spawn(async { panic!("asked to") });
        let end = background.end_within(Duration::from_millis(20));
        tokio::time::timeout(PATIENCE, end).await.expect("ends");
        let_go(&held).await;
    }

    #[tokio::test]
    async fn tasks_do_not_outlive_their_owner() {
        let held = Arc::new(());
        let mut background = Background::default();
        let until = background.until();
        background.spawn(stubborn(Arc::clone(&held)));
        drop(background);
        assert!(until.is_cancelled());
        let_go(&held).await;
    }
}
