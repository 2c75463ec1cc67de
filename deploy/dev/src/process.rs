//! One running service: started with its output in a log file, watched, and stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::{private_file, problem::Problem};

/// How often an ending process is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A child process. Dropping it kills it, so that nothing is left behind.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with its output in a log.
    ///
    /// # Errors
    ///
    /// When the program cannot be started or the log cannot be opened.
    pub fn spawn(name: &'static str, mut command: Command, log: &Path) -> Result<Self, Problem> {
        let output = private_file::append(log)?;
        let errors = output
            .try_clone()
            .map_err(|error| Problem::file("open", log, &error))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| Problem::new(format!("cannot start {name}: {error}")))?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
        })
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>, Problem> {
        self.child
            .try_wait()
            .map_err(|error| Problem::new(format!("cannot watch {}: {error}", self.name)))
    }

    /// Waits until it ends; `None` when it has not within the time.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub async fn ended_within(&mut self, limit: Duration) -> Result<Option<ExitStatus>, Problem> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(POLL).await;
        }
    }

    /// Asks it to finish what it has accepted and to end. A process that has ended is no error.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// The last lines of its log, to show why it ended.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// That it ended unasked, with the end of its log.
    #[must_use]
    pub fn obituary(&self, status: ExitStatus) -> Problem {
        Problem::new(format!(
            "{} ended by itself ({status}). The end of {}:\n\n{}",
            self.name,
            self.log.display(),
            self.last_lines(20)
        ))
    }

    fn signal(&self, signal: Signal) {
        // The child is not waited for yet, so its id cannot belong to another process; one that has
        // ended takes no signal, which is what was wanted.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("shell", command, log).unwrap()
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_is_named_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell(
            "echo first; echo last words; exit 3",
            &folder.path().join("log"),
        );
        let status = process
            .ended_within(Duration::from_secs(10))
            .await
            .unwrap()
            .unwrap();
        let text = process.obituary(status).to_string();
        assert!(
            text.contains("shell ended by itself") && text.ends_with("last words"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn terminate_lets_a_process_say_goodbye() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = shell(
            "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.01; done",
            &log,
        );
        while !process.last_lines(1).contains("ready") {
            sleep(POLL).await;
        }
        process.terminate();
        let status = process.ended_within(Duration::from_secs(10)).await.unwrap();
        assert!(status.is_some_and(|status| status.success()));
        assert_eq!(process.last_lines(1), "bye");
    }
}
