//! Wrong settings: each is refused by its name before a port is bound, and the URL of the database out of a file.

use std::{
    ffi::OsString,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Duration,
};

use identity_dev::{
    process::Process,
    service::{Endpoints, Launch, Service},
};

use crate::harness::{Store, World};

on_both_stores!(the_url_of_the_database_may_come_out_of_a_file);

/// A start that would work, but for one setting.
struct Wrong {
    /// What is changed: a flag and its value, or a flag without which to start.
    changes: Vec<(&'static str, Option<String>)>,
    /// The flag that the error names.
    blamed: &'static str,
}

impl Wrong {
    fn value(flag: &'static str, value: impl Into<String>) -> Self {
        Self {
            changes: vec![(flag, Some(value.into()))],
            blamed: flag,
        }
    }

    fn without(flag: &'static str) -> Self {
        Self {
            changes: vec![(flag, None)],
            blamed: flag,
        }
    }

    fn and(mut self, flag: &'static str, value: Option<String>) -> Self {
        self.changes.push((flag, value));
        self
    }

    fn blamed_on(self, blamed: &'static str) -> Self {
        Self { blamed, ..self }
    }
}

#[tokio::test]
async fn a_wrong_setting_is_refused_by_name_before_a_port_is_bound() {
    let world = World::prepared(Store::Sqlite).await;
    for replica in [&world.user, &world.auth] {
        let launch = &replica.launch;
        // Whoever gets as far as to bind a port says that it is taken.
        let _squatters = occupied(launch.endpoints);
        let control = refusal(launch, &[]);
        assert!(control.contains("--listen: cannot listen on"), "{control}");

        let folder = world.material.folder_of(launch.service);
        for wrong in wrong_settings(launch, &folder) {
            let text = refusal(launch, &wrong.changes);
            let named = text
                .split_whitespace()
                .map(|word| word.trim_matches(|sign: char| "':".contains(sign)))
                .any(|word| word == wrong.blamed);
            assert!(
                named && !text.contains("cannot listen"),
                "{:?} should be blamed on {}: {text}",
                wrong.changes,
                wrong.blamed
            );
        }
    }
    world.dispose().await;
}

fn wrong_settings(launch: &Launch, folder: &Path) -> Vec<Wrong> {
    let peer_url = match launch.service {
        Service::User => "--auth-url",
        Service::Auth => "--user-url",
    };
    let path = |name: &str| folder.join(name).display().to_string();
    let absent = path("absent");
    let junk = path("junk");
    fs::write(&junk, "junk").unwrap();
    let certificate = launch
        .material
        .certificate(launch.service)
        .display()
        .to_string();

    let damaged = folder.join("damaged");
    fs::create_dir_all(&damaged).unwrap();
    let marker = format!("{}.marker", launch.service.name());
    fs::write(damaged.join(marker), "junk").unwrap();

    let mut wrong = vec![
        Wrong::value("--state-dir", &absent),
        Wrong::value("--state-dir", damaged.display().to_string()),
        Wrong::without("--root-secret-file"),
        Wrong::value("--service-identity", "nobody"),
        Wrong::value(
            "--service-identity",
            format!("a;scopes=b;key-file={absent}"),
        ),
        Wrong::value("--service-identity", format!("a;scopes=b;key-file={junk}")),
        Wrong::value("--tls-cert-file", &certificate).blamed_on("--tls-key-file"),
        Wrong::value("--tls-key-file", &absent).blamed_on("--tls-cert-file"),
        Wrong::value("--tls-key-file", &absent).and("--tls-cert-file", Some(certificate)),
        Wrong::value(
            "--internal-listen",
            format!("0.0.0.0:{}", launch.endpoints.internal.port()),
        )
        .and("--internal-tls-cert-file", None)
        .and("--internal-tls-key-file", None)
        .and("--internal-tls-client-ca-file", None),
        Wrong::value(peer_url, "nowhere"),
        Wrong::value(peer_url, "http://example.org:1"),
        Wrong::without("--peer-ca-file"),
        Wrong::without("--peer-cert-file"),
        Wrong::without("--peer-key-file"),
        Wrong::value("--peer-san", "no name"),
        Wrong::value("--password-memory-kib", "1"),
        Wrong::value("--password-passes", "0"),
        Wrong::value("--password-lanes", "99"),
        Wrong::value("--max-staleness-milliseconds", "1"),
        Wrong::value("--max-staleness-milliseconds", "300001"),
        Wrong::value("--database-url", "mysql://nowhere"),
        Wrong::value("--database-url", "postgres://[nowhere"),
        Wrong::value("--database-url", format!("sqlite:{absent}/a.db")),
        Wrong::value("--database-url-file", &absent).and("--database-url", None),
        Wrong::value("--database-url-file", &junk).and("--database-url", None),
        Wrong::value("--database-url-file", &junk),
    ];
    for flag in [
        "--root-secret-file",
        "--internal-tls-cert-file",
        "--internal-tls-key-file",
        "--internal-tls-client-ca-file",
        "--peer-ca-file",
        "--peer-cert-file",
        "--peer-key-file",
        "--peer-service-key-file",
    ] {
        wrong.push(Wrong::value(flag, &absent));
        wrong.push(Wrong::value(flag, &junk));
    }
    wrong
}

/// What a start says that comes to nothing.
fn refusal(launch: &Launch, changes: &[(&'static str, Option<String>)]) -> String {
    let output = changed(launch, changes).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{changes:?}: {text}");
    text
}

/// The command that serves, with some settings changed.
fn changed(launch: &Launch, changes: &[(&'static str, Option<String>)]) -> Command {
    let serve = launch.serve();
    let mut args: Vec<OsString> = serve.get_args().map(Into::into).collect();
    for (flag, value) in changes {
        while let Some(at) = args.iter().position(|arg| arg == flag) {
            args.drain(at..at + 2);
        }
        if let Some(value) = value {
            args.extend([flag.into(), value.into()]);
        }
    }
    let mut command = Command::new(serve.get_program());
    command.args(args);
    command
}

fn occupied(endpoints: Endpoints) -> [TcpListener; 3] {
    let Endpoints {
        public,
        internal,
        admin,
    } = endpoints;
    [public, internal, admin].map(|address: SocketAddr| TcpListener::bind(address).unwrap())
}

async fn the_url_of_the_database_may_come_out_of_a_file(store: Store) {
    let mut world = World::prepared(store).await;
    for service in Service::BOTH {
        let folder = world.material.folder_of(service);
        let replica = world.replica(service);
        let file = folder.join("database-url");
        fs::write(&file, format!("{}\n", replica.launch.database_url)).unwrap();
        let command = changed(
            &replica.launch,
            &[
                ("--database-url", None),
                ("--database-url-file", Some(file.display().to_string())),
            ],
        );
        let log = folder.join("log");
        let mut process = Process::spawn(service.name(), command, &log).unwrap();
        serves(replica.launch.endpoints.public, &mut process).await;
        process.terminate();
        let ended = process.ended_within(Duration::from_secs(30)).await.unwrap();
        let text = process.last_lines(30);
        assert!(ended.is_some_and(|status| status.success()), "{text}");
    }
    world.dispose().await;
}

/// Waits until the process answers at its public listener; it does so only once its database is open.
async fn serves(address: SocketAddr, process: &mut Process) {
    let channel = identity_dev::health::channel(address).unwrap();
    while !identity_dev::health::answers(&channel).await {
        let ended = process.exited().unwrap();
        assert!(ended.is_none(), "{}", process.last_lines(30));
        tokio::task::yield_now().await;
    }
}
