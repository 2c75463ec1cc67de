//! What a write does, without the types of what comes of it: all writes share one machinery.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use super::{StoreError, WriteFuture, WriteTransaction};

/// A write; it tells whether it may be committed, and leaves what came of it in its [`Place`].
pub(super) type Work = Arc<
    dyn for<'a> Fn(&'a WriteTransaction) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>
        + Send
        + Sync,
>;

/// Why a write was not committed.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself: its error is in its place.
    Refused,
    /// By the store.
    Failed(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Where a write leaves what came of it.
pub(super) struct Place<T, E>(Arc<Mutex<Option<Result<T, E>>>>);

impl<T, E> Place<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    /// A write without its types, and where it leaves what comes of it: of several runs, what came of the last.
    pub(super) fn of<F>(write: F) -> (Work, Self)
    where
        F: for<'a> Fn(&'a WriteTransaction) -> WriteFuture<'a, T, E> + Send + Sync + 'static,
    {
        let place = Arc::new(Mutex::new(None));
        let left = Arc::clone(&place);
        let work: Work = Arc::new(move |transaction| {
            let (outcome, left) = (write(transaction), Arc::clone(&left));
            Box::pin(async move {
                let outcome = outcome.await;
                let is_good = outcome.is_ok();
                *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                is_good
            })
        });
        (work, Self(place))
    }

    /// What came of it.
    pub(super) fn take(self) -> Option<Result<T, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
