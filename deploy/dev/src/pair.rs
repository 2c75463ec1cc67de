//! Both services as running processes of one data folder.

use std::{os::unix::process::CommandExt, path::Path, time::Duration};

use tokio::time::sleep;

use crate::{
    binaries::Binaries,
    material::Material,
    ports::Ports,
    problem::Problem,
    process::Process,
    service::{Launch, Link, Service},
};

/// How long a service may take to finish its calls, beyond the bound that it keeps itself.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How often the processes are looked at.
const POLL: Duration = Duration::from_millis(100);

/// Both services, running. Dropping it kills what still runs.
#[derive(Debug)]
pub struct Pair {
    processes: [Process; 2],
}

impl Pair {
    /// Starts both; neither needs the other to be there.
    ///
    /// # Errors
    ///
    /// When a program cannot be started.
    pub fn start(launches: &[Launch; 2]) -> Result<Self, Problem> {
        let [user, auth] = launches;
        Ok(Self {
            processes: [start(user)?, start(auth)?],
        })
    }

    /// The process id of a service.
    #[must_use]
    pub fn id(&self, service: Service) -> u32 {
        let [user, auth] = &self.processes;
        match service {
            Service::User => user.id(),
            Service::Auth => auth.id(),
        }
    }

    /// Waits for one of them to end unasked.
    pub async fn broken(&mut self) -> Problem {
        loop {
            for process in &mut self.processes {
                match process.exited() {
                    Ok(None) => {}
                    Ok(Some(status)) => return process.obituary(status),
                    Err(problem) => return problem,
                }
            }
            sleep(POLL).await;
        }
    }

    /// Asks both to end and waits for them; what has not ended within the bound is killed.
    ///
    /// # Errors
    ///
    /// When one had to be killed or ended with an error.
    pub async fn stop(&mut self) -> Result<(), Problem> {
        self.processes.iter().for_each(Process::terminate);
        for process in &mut self.processes {
            match process.ended_within(STOP_LIMIT).await? {
                Some(status) if status.success() => {}
                Some(status) => return Err(process.obituary(status)),
                None => {
                    process.kill();
                    return Err(Problem::new(format!(
                        "{} did not end within {} seconds and was killed",
                        process.name(),
                        STOP_LIMIT.as_secs()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Ends both at once.
    pub fn kill(&self) {
        self.processes.iter().for_each(Process::kill);
    }
}

fn start(launch: &Launch) -> Result<Process, Problem> {
    let log = launch
        .material
        .folder_of(launch.service)
        .join("service.log");
    let mut command = launch.serve();
    // A process group of its own: Ctrl-C reaches it only through us, once.
    command.process_group(0);
    Process::spawn(launch.service.name(), command, &log)
}

/// How both services start on the embedded store in one data folder.
#[must_use]
pub fn launches(
    data: &Path,
    binaries: &Binaries,
    ports: &Ports,
    material: &Material,
) -> [Launch; 2] {
    Service::BOTH.map(|service| Launch {
        service,
        binary: binaries.of(service),
        endpoints: ports.of(service),
        peer: ports.of(service.peer()).internal,
        database_url: format!(
            "sqlite://{}?mode=rwc",
            data.join(service.name()).join("database.sqlite").display()
        ),
        state_dir: None,
        issuer: format!("http://{}", ports.auth.public),
        material: material.clone(),
        link: Link::MutualTls,
        extra: Vec::new(),
        environment: Vec::new(),
    })
}
