//! The verbs: serve, migrate, healthcheck and after-restore.

use std::{
    error::Error,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use identity_kit::{
    clock::{SharedClock, SystemClock},
    entropy::{SharedEntropy, SystemEntropy},
    health::probe,
    shutdown::Shutdown,
    telemetry,
};

use crate::{
    after_restore,
    app::{App, DirectorySource, Prepared},
    config::{AfterRestoreArgs, Config, HealthcheckArgs, Verb},
    setup,
};

/// How long a healthcheck waits for its answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Does what the verb says.
///
/// # Errors
/// What went wrong, for people, with the name of the setting that mends it.
pub async fn run(config: Config) -> Result<(), Box<dyn Error>> {
    let clock: SharedClock = Arc::new(SystemClock);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    match config.verb.clone().unwrap_or(Verb::Serve) {
        Verb::Serve => serve(&config, clock, entropy).await,
        Verb::Migrate => Ok(setup::migrate(&config, clock, entropy).await?),
        Verb::Healthcheck(args) => healthcheck(&config, &args).await,
        Verb::AfterRestore(args) => restored(&config, &args, clock, entropy).await,
    }
}

async fn serve(
    config: &Config,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<(), Box<dyn Error>> {
    let telemetry = telemetry::init(&config.telemetry, "auth-service")?;
    let shutdown = Shutdown::from_signals()?;
    // Whatever a setting can get wrong is found before a port is taken from anybody.
    let prepared = Prepared::of(config, clock, entropy, DirectorySource::Remote)?;
    let listeners = config.server.bind()?;
    let app = App::start_prepared(listeners, shutdown, telemetry.registry(), prepared).await?;
    let ended = app.ended().await;
    telemetry.shutdown().await;
    ended
}

async fn healthcheck(config: &Config, args: &HealthcheckArgs) -> Result<(), Box<dyn Error>> {
    let server = &config.server;
    let (address, certificate) = if args.internal {
        (
            server.internal_listen,
            server.internal_tls_cert_file.as_deref(),
        )
    } else {
        (server.listen, server.tls_cert_file.as_deref())
    };
    Ok(probe(reachable(address), certificate, "", PROBE_TIMEOUT).await?)
}

/// The address to call a listener at: a wildcard listens on the loopback interface too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn restored(
    config: &Config,
    args: &AfterRestoreArgs,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<(), Box<dyn Error>> {
    let said = after_restore::run(config, args, clock, entropy).await?;
    writeln!(io::stdout(), "{said}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn a_wildcard_is_called_on_the_loopback_interface() {
        for (listen, call) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), call);
        }
    }
}
