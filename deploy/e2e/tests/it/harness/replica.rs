//! One process of a service: started, killed, asked to end, started again.

use std::{fs, path::PathBuf, process::ExitStatus, time::Duration};

use identity_dev::{
    health,
    process::Process,
    service::{Launch, Service},
};
use tonic::transport::Channel;

use super::requirements;

/// How long a service may take to be ready on a loaded machine.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// A process of a service, or the place where it was.
pub(crate) struct Replica {
    pub(crate) launch: Launch,
    /// Its public listener.
    pub(crate) channel: Channel,
    log: PathBuf,
    process: Option<Process>,
}

impl Replica {
    /// Not started yet.
    pub(crate) fn new(launch: Launch, log: PathBuf) -> Self {
        requirements::require_binary(&launch.binary);
        Self {
            channel: health::channel(launch.endpoints.public).unwrap(),
            launch,
            log,
            process: None,
        }
    }

    pub(crate) fn service(&self) -> Service {
        self.launch.service
    }

    /// Starts it and does not wait.
    pub(crate) fn start(&mut self) {
        let name = self.service().name();
        self.process = Some(Process::spawn(name, self.launch.serve(), &self.log).unwrap());
    }

    /// Waits until its public service serves.
    pub(crate) async fn ready(&mut self) {
        let name = self.service().ready_name();
        let served = health::wait_until_serving(&self.channel, name, READY_LIMIT);
        tokio::select! {
            served = served => served.unwrap_or_else(|problem| panic!("{problem}\n{}", self.log_end())),
            status = ended(self.process.as_mut().unwrap()) => panic!("ended with {status}\n{}", self.log_end()),
        }
    }

    /// SIGKILL, and the certainty that it is gone.
    pub(crate) async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill();
        let limit = Duration::from_secs(10);
        assert!(process.ended_within(limit).await.unwrap().is_some());
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.process.as_ref().unwrap().terminate();
    }

    /// How it ended, once it has, within a bound.
    pub(crate) async fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let process = self.process.as_mut().unwrap();
        process.ended_within(limit).await.unwrap()
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> Vec<u8> {
        fs::read(&self.log).unwrap()
    }

    /// How often it has said that it serves, over all its lives.
    pub(crate) fn times_served(&self) -> usize {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines()
            .filter(|line| line.contains(" serving "))
            .count()
    }

    /// The end of its log.
    pub(crate) fn log_end(&self) -> String {
        self.process
            .as_ref()
            .map(|process| process.last_lines(30))
            .unwrap_or_default()
    }
}

async fn ended(process: &mut Process) -> ExitStatus {
    loop {
        if let Some(status) = process.ended_within(Duration::from_mins(1)).await.unwrap() {
            return status;
        }
    }
}
