//! The threads that serve connections: one current-thread runtime a core, handed work in turn.

use std::{
    future::Future,
    num::NonZero,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::ServeError;

/// How long threads may take to end when everything they did has been dropped.
const LAST_BREATH: Duration = Duration::from_secs(1);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The threads.
pub(super) struct Workers {
    queues: Queues,
    ends: Vec<oneshot::Receiver<()>>,
}

/// Where work is handed in.
#[derive(Clone)]
pub(super) struct Queues {
    queues: Arc<[mpsc::UnboundedSender<Task>]>,
    next: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads, or one a core for 0, that drop all their work when `closed` is cancelled.
    pub(super) fn start(count: usize, closed: &CancellationToken) -> Result<Self, ServeError> {
        let count = match count {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            count => count,
        };
        let mut queues = Vec::with_capacity(count);
        let mut ends = Vec::with_capacity(count);
        for number in 0..count {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(ServeError::Thread)?;
            let (queue, work) = mpsc::unbounded_channel();
            let (ended, end) = oneshot::channel();
            let closed = closed.clone();
            thread::Builder::new()
                .name(format!("identity-io-{number}"))
                .spawn(move || {
                    run(runtime, work, &closed);
                    // Nobody listens any more when the server's future was dropped.
                    let _ = ended.send(());
                })
                .map_err(ServeError::Thread)?;
            queues.push(queue);
            ends.push(end);
        }
        Ok(Self {
            queues: Queues {
                queues: queues.into(),
                next: Arc::default(),
            },
            ends,
        })
    }

    /// Where work is handed in.
    pub(super) fn queues(&self) -> Queues {
        self.queues.clone()
    }

    /// Waits until the threads have ended, but not for one that hangs.
    pub(super) async fn ended(self) {
        let all = futures_util::future::join_all(self.ends);
        if tokio::time::timeout(LAST_BREATH, all).await.is_err() {
            tracing::warn!("a thread of the server hangs and was left behind");
        }
    }
}

impl Queues {
    /// Runs a task on the next thread; drops it when the threads have ended.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(queue) = self.queues.get(turn % self.queues.len()) {
            // The error gives the task back, and dropping it closes its socket.
            drop(queue.send(Box::pin(task)));
        }
    }
}

fn run(runtime: Runtime, mut work: mpsc::UnboundedReceiver<Task>, closed: &CancellationToken) {
    runtime.block_on(async {
        loop {
            tokio::select! {
                biased;
                () = closed.cancelled() => break,
                task = work.recv() => match task {
                    Some(task) => drop(tokio::spawn(task)),
                    None => break,
                },
            }
        }
    });
    runtime.shutdown_background();
}
