//! Ports: which ones the pair takes, and whether they are free before anything starts.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    problem::Problem,
    service::{Endpoints, Service},
};

/// The listeners of both services.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Of user-service.
    pub user: Endpoints,
    /// Of auth-service.
    pub auth: Endpoints,
}

impl Ports {
    /// The ports that the services have by themselves.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            user: Endpoints::default_of(Service::User),
            auth: Endpoints::default_of(Service::Auth),
        }
    }

    /// Six ports that were free a moment ago.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn free() -> Result<Self, Problem> {
        let three = || -> Result<Endpoints, Problem> {
            Ok(Endpoints::on_loopback(
                free_port()?,
                free_port()?,
                free_port()?,
            ))
        };
        Ok(Self {
            user: three()?,
            auth: three()?,
        })
    }

    /// Of one service.
    #[must_use]
    pub fn of(&self, service: Service) -> Endpoints {
        match service {
            Service::User => self.user,
            Service::Auth => self.auth,
        }
    }

    /// Says which ports are taken, all at once, before anything starts.
    ///
    /// # Errors
    ///
    /// When one is taken: what for, which one, and what to do.
    pub fn check(&self) -> Result<(), Problem> {
        let taken: Vec<_> = Service::BOTH
            .into_iter()
            .flat_map(|service| {
                let Endpoints {
                    public,
                    internal,
                    admin,
                } = self.of(service);
                [("public", public), ("internal", internal), ("admin", admin)]
                    .map(|(listener, address)| (service, listener, address))
            })
            .filter_map(|(service, listener, address)| {
                let error = TcpListener::bind(address).err()?;
                Some(complaint(service, listener, address, &error))
            })
            .collect();
        if taken.is_empty() {
            return Ok(());
        }
        Err(Problem::new(format!(
            "{}\nStop what listens there (`ss -ltnp` shows it), or run `cargo dev --free-ports`.",
            taken.join("\n")
        )))
    }
}

fn complaint(
    service: Service,
    listener: &str,
    address: SocketAddr,
    error: &std::io::Error,
) -> String {
    let port = address.port();
    let name = service.name();
    if error.kind() == std::io::ErrorKind::AddrInUse {
        format!("port {port} is taken: {name} needs it for its {listener} listener")
    } else {
        format!("port {port} cannot be used for the {listener} listener of {name}: {error}")
    }
}

/// A port of loopback that was free a moment ago and that this process does not give again.
///
/// It lies below the range that systems take the ports of outgoing connections from, so that no
/// connection takes it before the service does.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> Result<u16, Problem> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 10_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Processes that run at once begin at different places.
    let start = process::id().wrapping_mul(97);
    (0..COUNT)
        .find_map(|_| {
            let given = GIVEN.fetch_add(1, Ordering::Relaxed);
            let port = u16::try_from(FIRST + start.wrapping_add(given) % COUNT).ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
            Some(port)
        })
        .ok_or_else(|| Problem::new("no port of 20000 to 29999 is free"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_use_and_the_way_out() {
        let ports = Ports::free().unwrap();
        let _squatter = TcpListener::bind(ports.auth.internal).unwrap();
        let text = ports.check().unwrap_err().to_string();
        let port = ports.auth.internal.port().to_string();
        for part in [port.as_str(), "auth-service", "internal", "--free-ports"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }
}
