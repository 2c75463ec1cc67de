//! The end of a program in two stages: finish what was accepted within a bound, or leave at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// When to stop. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    started: CancellationToken,
    draining: CancellationToken,
    forced: CancellationToken,
}

impl Shutdown {
    /// A shutdown that begins when [`start`](Self::start) is called.
    #[must_use]
    pub fn manual() -> Self {
        Self::default()
    }

    /// A shutdown that begins with the first SIGTERM or SIGINT; the second ends the process at once.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn from_signals() -> io::Result<Self> {
        let shutdown = Self::manual();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let on_signal = shutdown.clone();
        tokio::spawn(async move {
            next(&mut terminate, &mut interrupt).await;
            tracing::info!("stopping; a second signal leaves at once");
            on_signal.start();
            let code = next(&mut terminate, &mut interrupt).await;
            tracing::warn!("left at once");
            on_signal.force();
            std::process::exit(code);
        });
        Ok(shutdown)
    }

    /// Begins the first stage.
    pub fn start(&self) {
        self.started.cancel();
    }

    /// Begins the second stage: whoever waits for the end stops waiting.
    pub fn force(&self) {
        self.started.cancel();
        self.draining.cancel();
        self.forced.cancel();
    }

    /// Ends once the shutdown has begun: health says `NOT_SERVING` from here on, calls are still accepted.
    #[must_use]
    pub fn started(&self) -> &CancellationToken {
        &self.started
    }

    /// Ends once nothing is accepted any more: every stream of answers ends now, with a hint where to resume.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Ends when not even accepted calls are waited for.
    #[must_use]
    pub fn forced(&self) -> &CancellationToken {
        &self.forced
    }

    /// Tells the streams to end.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }
}

/// Waits for either signal and answers with the exit code that shells expect of it.
async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    tokio::select! {
        _ = terminate.recv() => 128 + SignalKind::terminate().as_raw_value(),
        _ = interrupt.recv() => 128 + SignalKind::interrupt().as_raw_value(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn the_first_signal_begins_the_end_and_forces_nothing() {
        let shutdown = Shutdown::from_signals().expect("takes the signals");
        assert!(!shutdown.started().is_cancelled());
        kill_process(getpid(), Signal::TERM).expect("signals itself");
        tokio::time::timeout(Duration::from_secs(20), shutdown.started().cancelled())
            .await
            .expect("hears it");
        assert!(!shutdown.draining().is_cancelled());
        assert!(!shutdown.forced().is_cancelled());
    }

    #[tokio::test]
    async fn force_ends_every_stage() {
        let shutdown = Shutdown::manual();
        shutdown.force();
        assert!(shutdown.started().is_cancelled());
        assert!(shutdown.draining().is_cancelled());
        assert!(shutdown.forced().is_cancelled());
    }
}
