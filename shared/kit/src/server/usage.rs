//! The use of one connection: the calls under way on it, and since when there are none.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};

use super::shares::Place;

/// The use of a connection.
pub(super) struct Usage {
    opened: Instant,
    calls: AtomicUsize,
    /// When the last call ended, in nanoseconds since the opening.
    idle_since: AtomicU64,
    /// Its place in the share of its address; kept for as long as one of its calls.
    place: Option<Place>,
}

impl Usage {
    /// A connection that has just been opened.
    pub(super) fn new(place: Option<Place>) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            calls: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            place,
        })
    }

    /// Counts a call until what is given back is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Call {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Call {
            is_within_share: self.place.as_ref().is_none_or(Place::begin_call),
            usage: Arc::clone(self),
        }
    }

    /// Ends once no call has been under way for `timeout`; without one, never.
    pub(super) async fn idle_for(&self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else {
            return pending().await;
        };
        loop {
            let now = Instant::now();
            // Looked at only when it may have come about, so that no call has to set a timer.
            let due = self.idle_since().unwrap_or(now) + timeout;
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Since when no call is under way; none while there is one.
    fn idle_since(&self) -> Option<Instant> {
        if self.calls.load(Ordering::Acquire) > 0 {
            return None;
        }
        let since = Duration::from_nanos(self.idle_since.load(Ordering::Relaxed));
        Some(self.opened + since)
    }
}

/// A call under way.
pub(super) struct Call {
    usage: Arc<Usage>,
    is_within_share: bool,
}

impl Call {
    /// Whether the address of the connection may have this call beside its others.
    pub(super) fn is_within_share(&self) -> bool {
        self.is_within_share
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let usage = &self.usage;
        let now = u64::try_from(usage.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        usage.idle_since.store(now, Ordering::Relaxed);
        usage.calls.fetch_sub(1, Ordering::Release);
        if let Some(place) = &usage.place {
            place.end_call();
        }
    }
}

pin_project! {
    /// A body at whose end its call ends.
    pub(super) struct Held<B> {
        #[pin]
        inner: B,
        call: Call,
    }
}

impl<B> Held<B> {
    pub(super) fn new(inner: B, call: Call) -> Self {
        Self { inner, call }
    }
}

impl<B: http_body::Body> http_body::Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
