//! `cargo dev` as a person runs it: its own process, its data, what it prints.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use identity_dev::process::Process;
use tokio::time::{Instant, sleep};

use super::shell::Shell;

/// How long both services may take to start and to make the journey.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// How long both may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// The last line that it prints once everything is there.
const READY: &str = "Ctrl-C stops both.";

/// A `cargo dev` that runs.
pub(super) struct Dev {
    process: Process,
    log: PathBuf,
}

impl Dev {
    /// Starts the program on a data folder and any free ports. Each run has a log of its own beside the folder.
    pub(super) fn start(program: &Path, shell: &Shell, data: &Path, run: &str) -> Self {
        let log = data.with_extension(run);
        let mut command = Command::new(program);
        command
            // Otherwise the first of its calls may install grpcurl.
            .env("PATH", shell.path())
            .args(["--no-build", "--free-ports", "--data"])
            .arg(data);
        Self {
            process: Process::spawn("cargo dev", command, &log).unwrap(),
            log,
        }
    }

    /// Everything that it has printed.
    pub(super) fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for the calls to try.
    pub(super) async fn ready(&mut self) {
        let deadline = Instant::now() + READY_LIMIT;
        while !self.printed().contains(READY) {
            let ended = self.process.exited().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{}",
                self.printed()
            );
            sleep(POLL).await;
        }
    }

    /// The word after these words, at the beginning of a line.
    pub(super) fn word_after(&self, words: &str) -> String {
        let printed = self.printed();
        let rest = printed.lines().find_map(|line| line.strip_prefix(words));
        let rest = rest.unwrap_or_else(|| panic!("{words:?} is missing in {printed}"));
        rest.split_whitespace().next().unwrap().to_owned()
    }

    /// The public and the internal listener of a service.
    pub(super) fn listeners(&self, service: &str) -> [SocketAddr; 2] {
        let printed = self.printed();
        let line = printed.lines().find(|line| line.starts_with(service));
        let mut addresses = line
            .unwrap_or_else(|| panic!("{service} is missing in {printed}"))
            .split_whitespace()
            .filter_map(|word| word.parse().ok());
        [addresses.next().unwrap(), addresses.next().unwrap()]
    }

    /// What is to be pasted, as it prints it.
    pub(super) fn calls(&self) -> String {
        let printed = self.printed();
        let begin = printed.find("export TOKEN=").unwrap();
        let end = printed.find(READY).unwrap();
        printed[begin..end].to_owned()
    }

    /// Ctrl-C, and how it ended.
    pub(super) async fn interrupted(mut self) -> (ExitStatus, String) {
        self.process.interrupt();
        let ended = self.process.ended_within(STOP_LIMIT).await.unwrap();
        let status = ended.unwrap_or_else(|| panic!("still runs: {}", self.printed()));
        (status, self.printed())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let deadline = std::time::Instant::now() + STOP_LIMIT;
        let mut is_told = false;
        while matches!(self.process.exited(), Ok(None)) && std::time::Instant::now() < deadline {
            if !is_told {
                // Killed, it would leave both services behind.
                self.process.terminate();
                is_told = true;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// That nothing listens there any more.
pub(super) fn assert_free(addresses: impl IntoIterator<Item = SocketAddr>) {
    for address in addresses {
        TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    }
}
