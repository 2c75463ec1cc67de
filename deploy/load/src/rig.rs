//! The measured pair: real processes of this profile in a throw-away folder, with an administrator logged in.

use std::{error::Error, fs, path::PathBuf, time::Duration};

use identity_dev::{
    administrator,
    api::Api,
    binaries::Binaries,
    health,
    material::Material,
    pair::{self, Pair},
    ports::Ports,
    process::Process,
    service::{Launch, Link, Service},
};
use identity_proto::auth::v1::TokenSet;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::stopwatch::Stopwatch;

const START_LIMIT: Duration = Duration::from_mins(1);
const HEALTH_POLL: Duration = Duration::from_micros(500);

/// A pair that can be started and stopped piece by piece.
pub(crate) struct Rig {
    folder: TempDir,
    /// How each service is started: user-service first.
    pub(crate) launches: [Launch; 2],
    /// Its clients.
    pub(crate) api: Api,
}

impl Rig {
    /// A pair of these programs on SQLite, not started yet.
    pub(crate) fn new(binaries: &Binaries) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let material = Material::prepare(folder.path())?;
        let ports = Ports::free()?;
        let mut launches = pair::launches(folder.path(), binaries, &ports, &material);
        for launch in &mut launches {
            launch.link = Link::ServiceKey;
        }
        Ok(Self {
            folder,
            launches,
            api: Api::at(ports.user.public, ports.auth.public)?,
        })
    }

    /// Puts the services on databases of their own on a PostgreSQL server.
    pub(crate) fn on_postgres(mut self, urls: [String; 2]) -> Self {
        for (launch, url) in self.launches.iter_mut().zip(urls) {
            launch.database_url = url;
        }
        self
    }

    /// Starts one service.
    pub(crate) fn spawn(&self, service: Service) -> Result<Process, Box<dyn Error>> {
        let launch = self.launch(service);
        let log = self.folder.path().join(format!("{}.log", service.name()));
        Ok(Process::spawn(service.name(), launch.serve(), &log)?)
    }

    /// Starts both and waits until they serve.
    pub(crate) async fn start(&self) -> Result<Pair, Box<dyn Error>> {
        let pair = Pair::start(&self.launches)?;
        for service in Service::BOTH {
            self.wait(service).await?;
        }
        Ok(pair)
    }

    /// Waits until a service says that it serves.
    pub(crate) async fn wait(&self, service: Service) -> Result<(), Box<dyn Error>> {
        let channel = match service {
            Service::User => &self.api.user,
            Service::Auth => &self.api.auth,
        };
        health::wait_until_serving(channel, service.ready_name(), START_LIMIT).await?;
        Ok(())
    }

    /// Starts a service and measures until its health says SERVING.
    pub(crate) async fn time_to_serving(
        &self,
        service: Service,
    ) -> Result<(Process, Duration), Box<dyn Error>> {
        self.time_until(service, async |channel| {
            health::is_serving(&channel, service.ready_name()).await
        })
        .await
    }

    /// Starts a service and measures until it answers health at all, ready or not.
    pub(crate) async fn time_to_first_answer(
        &self,
        service: Service,
    ) -> Result<(Process, Duration), Box<dyn Error>> {
        self.time_until(service, async |channel| health::answers(&channel).await)
            .await
    }

    async fn time_until(
        &self,
        service: Service,
        is_there: impl AsyncFn(Channel) -> bool,
    ) -> Result<(Process, Duration), Box<dyn Error>> {
        let watch = Stopwatch::start();
        let process = self.spawn(service)?;
        let address = self.launch(service).endpoints.public;
        loop {
            // A fresh channel each time: a failed one waits before it connects again.
            if is_there(health::channel(address)?).await {
                return Ok((process, watch.elapsed()));
            }
            if watch.elapsed() > START_LIMIT {
                return Err(format!("{} does not serve", service.name()).into());
            }
            tokio::time::sleep(HEALTH_POLL).await;
        }
    }

    /// Makes an administrator and logs in.
    pub(crate) async fn administrator(&self) -> Result<TokenSet, Box<dyn Error>> {
        let [user_service, _] = &self.launches;
        let administrator = administrator::create(user_service, "admin")?;
        Ok(administrator.log_in(&self.api).await?)
    }

    fn launch(&self, service: Service) -> &Launch {
        let [user, auth] = &self.launches;
        match service {
            Service::User => user,
            Service::Auth => auth,
        }
    }

    /// A file in the folder of the pair.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program of a service.
    pub(crate) fn binary(&self, service: Service) -> PathBuf {
        self.launch(service).binary.clone()
    }
}

/// What a process has used of the processors so far, all threads together.
pub(crate) fn processor_time(process: u32) -> Result<Duration, Box<dyn Error>> {
    // Fields 14 and 15 of proc(5), counted after the name in brackets.
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_micros(ticks * 1_000_000 / ticks_per_second))
}

/// What a process holds in memory now, in KiB.
pub(crate) fn resident_kib(process: u32) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
