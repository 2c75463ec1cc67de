//! The two services as programs: names, ports, and the command line that starts one of them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use crate::material::Material;

/// The name of a backend of one's own, which auth-service lets follow the access feed.
pub const BACKEND: &str = "backend";

/// The name in the certificate of a program that the services trust.
#[must_use]
pub fn identity(name: &str) -> String {
    format!("spiffe://identity.localhost/{name}")
}

/// One of the two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// user-service.
    User,
    /// auth-service.
    Auth,
}

impl Service {
    /// Both, in the order in which they are shown.
    pub const BOTH: [Self; 2] = [Self::User, Self::Auth];

    /// The name of the service and of its binary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user-service",
            Self::Auth => "auth-service",
        }
    }

    /// The other one.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::User => Self::Auth,
            Self::Auth => Self::User,
        }
    }

    /// The name in its certificate by which its peer's internal listener knows it. A client looks for the
    /// service's plain name instead.
    #[must_use]
    pub fn identity(self) -> String {
        identity(self.name())
    }

    /// The public gRPC service whose health says that this service is ready for callers.
    #[must_use]
    pub fn ready_name(self) -> &'static str {
        match self {
            Self::User => "identity.user.v1.UserService",
            Self::Auth => "identity.auth.v1.AuthService",
        }
    }

    /// What this service lets its peer do.
    fn peer_scope(self) -> &'static str {
        match self {
            Self::User => "credentials,change_feed",
            Self::Auth => "access_feed",
        }
    }

    /// The flag that names the peer's internal listener.
    fn peer_flag(self) -> &'static str {
        match self {
            Self::User => "--auth-url",
            Self::Auth => "--user-url",
        }
    }
}

/// The three listeners of a service, all on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// For callers.
    pub public: SocketAddr,
    /// For the other service.
    pub internal: SocketAddr,
    /// For metrics and probes.
    pub admin: SocketAddr,
}

impl Endpoints {
    /// Listeners on loopback.
    #[must_use]
    pub fn on_loopback(public: u16, internal: u16, admin: u16) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            public: at(public),
            internal: at(internal),
            admin: at(admin),
        }
    }

    /// The ports that a service has by itself.
    #[must_use]
    pub fn default_of(service: Service) -> Self {
        match service {
            Service::User => Self::on_loopback(50051, 50052, 9051),
            Service::Auth => Self::on_loopback(50061, 50062, 9061),
        }
    }
}

/// How the services prove themselves to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Certificates on both sides, and the service key inside.
    MutualTls,
    /// Plaintext, which loopback alone allows, and the service key.
    ServiceKey,
}

impl Link {
    fn scheme(self) -> &'static str {
        match self {
            Self::MutualTls => "https",
            Self::ServiceKey => "http",
        }
    }
}

/// Everything that starts one service.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Which service.
    pub service: Service,
    /// Its program.
    pub binary: PathBuf,
    /// Where it listens.
    pub endpoints: Endpoints,
    /// Where its peer's internal listener is.
    pub peer: SocketAddr,
    /// Where it keeps its data.
    pub database_url: String,
    /// Where it keeps what must outlive its data, unless beside it.
    pub state_dir: Option<PathBuf>,
    /// The `iss` of access tokens: the public address of auth-service.
    pub issuer: String,
    /// Its secrets and certificates.
    pub material: Material,
    /// How it talks to its peer.
    pub link: Link,
    /// Further flags, such as shorter lives in tests.
    pub extra: Vec<String>,
    /// Further variables of its environment, such as those of telemetry.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    /// The command that serves.
    #[must_use]
    pub fn serve(&self) -> Command {
        let (own, peer) = (self.service, self.service.peer());
        let mut command = self.verb("serve");
        command
            .args(["--listen", &self.endpoints.public.to_string()])
            .args(["--internal-listen", &self.endpoints.internal.to_string()])
            .args(["--admin-listen", &self.endpoints.admin.to_string()])
            .args(["--auto-migrate", "--reflection"])
            .args(["--issuer", &self.issuer])
            .arg(own.peer_flag())
            .arg(format!("{}://{}", self.link.scheme(), self.peer))
            .arg("--peer-service-key-file")
            .arg(self.material.service_key(own))
            .arg("--service-identity")
            .arg(self.peer_identity());
        if own == Service::Auth {
            let key = self.material.backend_service_key();
            command
                .arg("--service-identity")
                .arg(self.caller(BACKEND, "access_feed", &key));
        }
        if self.link == Link::MutualTls {
            command
                .arg("--internal-tls-cert-file")
                .arg(self.material.certificate(own))
                .arg("--internal-tls-key-file")
                .arg(self.material.private_key(own))
                .arg("--internal-tls-client-ca-file")
                .arg(self.material.authority())
                .arg("--peer-ca-file")
                .arg(self.material.authority())
                .arg("--peer-cert-file")
                .arg(self.material.certificate(own))
                .arg("--peer-key-file")
                .arg(self.material.private_key(own))
                .args(["--peer-san", peer.name()]);
        }
        command.args(&self.extra);
        command.envs(self.environment.iter().cloned());
        command
    }

    /// The command of another verb on the same database.
    #[must_use]
    pub fn verb(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg(verb)
            .args(["--database-url", &self.database_url])
            .arg("--root-secret-file")
            .arg(self.material.root_secret(self.service));
        if let Some(folder) = &self.state_dir {
            command.arg("--state-dir").arg(folder);
        }
        command
    }

    /// Its peer, as a service identity.
    fn peer_identity(&self) -> String {
        let peer = self.service.peer();
        let key = self.material.service_key(peer);
        self.caller(peer.name(), self.service.peer_scope(), &key)
    }

    /// Whom this service believes on its internal listener, and what that one may do there.
    fn caller(&self, name: &str, scope: &str, key_file: &Path) -> String {
        let mut caller = format!("{name};scopes={scope};key-file={}", key_file.display());
        if self.link == Link::MutualTls {
            caller.push_str(";san=");
            caller.push_str(&identity(name));
        }
        caller
    }
}
