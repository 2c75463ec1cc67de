//! `cargo dev` from its first line to the clean stop.

use std::{
    fs::{File, TryLockError},
    future::pending,
    path::{Path, PathBuf, absolute},
    time::Duration,
};

use identity_proto::auth::v1::TokenSet;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    administrator::{self, Administrator, CreateError},
    api::Api,
    args::Args,
    binaries::Binaries,
    health, journey,
    keeper::{self, Tokens},
    material::Material,
    pair::{Pair, launches},
    ports::Ports,
    private_file,
    problem::Problem,
    service::{Launch, Service},
    session::{self, RefreshError, SessionFiles},
    tour,
};

/// How long the services may take to be ready on a new database.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Runs until Ctrl-C, SIGTERM, or the end of one of the services.
///
/// # Errors
///
/// Whatever keeps the pair from running or from stopping cleanly.
pub async fn run(args: &Args, say: &impl Fn(&str)) -> Result<(), Problem> {
    let binaries = Binaries::beside_this_program()?;
    let data = data_folder(args, &binaries)?;
    let _lock = lock(&data)?;
    let ports = if args.free_ports {
        Ports::free()?
    } else {
        Ports::usual()
    };
    ports.check()?;
    if !args.no_build {
        say("building both services");
        binaries.build()?;
    }

    let material = Material::prepare(&data)?;
    let launches = launches(&data, &binaries, &ports, &material);
    let mut stop = StopSignals::listen()?;
    say(&tour::places(&data, &ports));
    let mut pair = Pair::start(&launches)?;
    let stage = Stage {
        api: Api::at(ports.user.public, ports.auth.public)?,
        files: SessionFiles {
            access_token: data.join("access-token"),
            refresh_token: data.join("refresh-token"),
        },
        launches,
        ports,
    };
    let outcome = tokio::select! {
        outcome = stage.play(args.once, say) => outcome,
        problem = pair.broken() => Err(problem),
        () = stop.next() => Ok(()),
    };
    if let Err(problem) = outcome {
        // The cause matters more than how the rest of the pair ends.
        pair.kill();
        return Err(problem);
    }
    say("stopping both services");
    tokio::select! {
        stopped = pair.stop() => stopped?,
        () = stop.next() => {
            pair.kill();
            return Err(Problem::new("stopped at once at the second signal"));
        }
    }
    say(&format!(
        "stopped; the next start finds everything in {}",
        data.display()
    ));
    Ok(())
}

/// What happens while both services run.
struct Stage {
    api: Api,
    files: SessionFiles,
    launches: [Launch; 2],
    ports: Ports,
}

impl Stage {
    async fn play(&self, once: bool, say: &impl Fn(&str)) -> Result<(), Problem> {
        for (service, channel) in [
            (Service::User, &self.api.user),
            (Service::Auth, &self.api.auth),
        ] {
            health::wait_until_serving(channel, service.ready_name(), READY_LIMIT).await?;
        }
        let (administrator, tokens) = self.log_in().await?;
        say(&tour::administrator(
            administrator.as_ref(),
            &self.another_administrator(),
        ));
        journey::travel(&self.api, &tokens.access_token, |step| {
            say(&format!("  ok  {step}"));
        })
        .await?;
        say("");
        say(&tour::calls(&tokens, &self.files, &self.ports));
        if once {
            return Ok(());
        }
        say("Ctrl-C stops both.");
        keeper::stay_logged_in(tokens, self, say).await;
        say(&format!(
            "the session has ended, as by a logout, and {} with it. Both services go on.\n\
             For a new one log in with the password that was shown, or stop and start again.",
            self.files.access_token.display()
        ));
        pending().await
    }

    /// The session of the run before; without one, that of a new administrator.
    async fn log_in(&self) -> Result<(Option<Administrator>, TokenSet), Problem> {
        if let Some(tokens) = self.files.resume(&self.api).await? {
            return Ok((None, tokens));
        }
        let [user_service, _] = &self.launches;
        let administrator = match administrator::create(user_service, "admin") {
            // An earlier session has ended, and its password is not ours to know.
            Err(CreateError::Taken(_)) => {
                let name = format!("admin-{}", &private_file::random_hex()?[..8]);
                administrator::create(user_service, &name)
            }
            created => created,
        }?;
        let tokens = administrator.log_in(&self.api).await?;
        self.files.keep(&tokens)?;
        Ok((Some(administrator), tokens))
    }

    /// The command line that makes another administrator.
    fn another_administrator(&self) -> String {
        let [user_service, _] = &self.launches;
        let command = administrator::command(user_service, "another");
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| tour::shell_word(&word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Tokens for Stage {
    async fn refresh(&self, refresh_token: &str) -> Result<TokenSet, RefreshError> {
        session::refresh(&self.api, refresh_token).await
    }

    fn keep(&self, tokens: &TokenSet) -> Result<(), Problem> {
        self.files.keep(tokens)
    }
}

/// Ctrl-C and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, Problem> {
        let listen = |kind| {
            signal(kind).map_err(|error| Problem::new(format!("cannot listen to signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn data_folder(args: &Args, binaries: &Binaries) -> Result<PathBuf, Problem> {
    let data = args
        .data
        .clone()
        .unwrap_or_else(|| binaries.target().join("dev-data"));
    private_file::create_folder(&data)?;
    absolute(&data).map_err(|error| Problem::file("find", &data, &error))
}

/// Keeps a second `cargo dev` from the same folder while this one runs.
fn lock(data: &Path) -> Result<File, Problem> {
    let path = data.join("lock");
    let file = private_file::append(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Problem::new(format!(
            "another cargo dev runs in {}; stop it, or choose another folder with --data",
            data.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Problem::file("lock", &path, &error)),
    }
}
