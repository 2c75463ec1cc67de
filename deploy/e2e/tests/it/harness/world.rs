//! A pair of services with a store of its own, and an administrator who is logged in.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use identity_dev::{
    administrator,
    api::Api,
    binaries::Binaries,
    material::Material,
    ports::{self, Ports},
    service::{Endpoints, Launch, Link, Service},
};
use identity_proto::{
    auth::v1::TokenSet,
    user::v1::{CreateUserRequest, ListRolesRequest, User},
};
use tempfile::TempDir;
use tonic::transport::Channel;

use super::{Person, Replica, Store};

/// The first of the addresses that clients can call from besides 127.0.0.1.
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// A pair of services. Dropping it kills them and removes their data.
pub(crate) struct World {
    pub(crate) user: Replica,
    pub(crate) auth: Replica,
    /// The public listeners.
    pub(crate) api: Api,
    /// The administrator's access token; empty until there is one.
    pub(crate) admin: String,
    pub(crate) material: Material,
    store: Store,
    folder: TempDir,
}

impl World {
    /// A pair that has not been started, on an empty store.
    ///
    /// On SQLite the internal link runs mTLS, on PostgreSQL plaintext with service keys: both are supported.
    pub(crate) async fn prepared(store: Store) -> Self {
        let link = match store {
            Store::Sqlite => Link::MutualTls,
            Store::Postgres(_) => Link::ServiceKey,
        };
        Self::linked(store, link).await
    }

    /// The same with a chosen internal link.
    pub(crate) async fn linked(store: Store, link: Link) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let material = Material::prepare(folder.path()).unwrap();
        let ports = Ports::free().unwrap();
        let binaries = Binaries::beside_this_program().unwrap();
        let mut replicas = Vec::new();
        for service in Service::BOTH {
            let launch = Launch {
                service,
                binary: binaries.of(service),
                endpoints: ports.of(service),
                peer: ports.of(service.peer()).internal,
                database_url: store.fresh_database(folder.path(), service).await,
                state_dir: state_dir(&store, folder.path(), service),
                issuer: format!("http://{}", ports.auth.public),
                material: material.clone(),
                link,
                extra: Vec::new(),
                environment: Vec::new(),
            };
            replicas.push(Replica::new(launch, log_of(folder.path(), service.name())));
        }
        let auth = replicas.pop().unwrap();
        let user = replicas.pop().unwrap();
        Self {
            api: Api {
                user: user.channel.clone(),
                auth: auth.channel.clone(),
            },
            user,
            auth,
            admin: String::new(),
            material,
            store,
            folder,
        }
    }

    /// A pair that serves, with an administrator.
    pub(crate) async fn running(store: Store) -> Self {
        let mut world = Self::prepared(store).await;
        world.start().await;
        world
    }

    /// Starts both, waits, and logs the administrator in.
    pub(crate) async fn start(&mut self) {
        self.user.start();
        self.auth.start();
        self.ready().await;
        self.log_administrator_in().await;
    }

    /// Waits until both serve.
    pub(crate) async fn ready(&mut self) {
        self.user.ready().await;
        self.auth.ready().await;
    }

    /// Makes the first administrator and logs in.
    pub(crate) async fn log_administrator_in(&mut self) -> TokenSet {
        let administrator = administrator::create(&self.user.launch, "root-admin").unwrap();
        let tokens = administrator.log_in(&self.api).await.unwrap();
        self.admin.clone_from(&tokens.access_token);
        tokens
    }

    /// One of the two.
    pub(crate) fn replica(&mut self, service: Service) -> &mut Replica {
        match service {
            Service::User => &mut self.user,
            Service::Auth => &mut self.auth,
        }
    }

    /// A further process of a service on the same store, not started.
    pub(crate) fn second(&self, service: Service) -> Replica {
        let first = match service {
            Service::User => &self.user,
            Service::Auth => &self.auth,
        };
        let port = || ports::free_port().unwrap();
        let launch = Launch {
            endpoints: Endpoints::on_loopback(port(), port(), port()),
            ..first.launch.clone()
        };
        let name = format!("second-{}", service.name());
        Replica::new(launch, log_of(self.folder.path(), &name))
    }

    /// The public listeners as a client at another address of this machine sees them.
    ///
    /// Throttles count by network: a trial of many wrong passwords comes from many.
    pub(crate) fn api_from(&self, number: usize) -> Api {
        let number = u32::try_from(number).unwrap();
        let source = IpAddr::V4(Ipv4Addr::from_bits(FIRST_SOURCE.to_bits() + number));
        let channel = |replica: &Replica| {
            let url = format!("http://{}", replica.launch.endpoints.public);
            let endpoint = Channel::from_shared(url).unwrap();
            endpoint.local_address(Some(source)).connect_lazy()
        };
        Api {
            user: channel(&self.user),
            auth: channel(&self.auth),
        }
    }

    /// A new user without a password.
    pub(crate) async fn create_user(&self, username: &str) -> User {
        self.create_user_with_password(username, "").await
    }

    /// A new user with a password that must be changed.
    pub(crate) async fn create_user_with_password(&self, username: &str, password: &str) -> User {
        self.api
            .users(&self.admin)
            .create_user(CreateUserRequest {
                username: username.to_owned(),
                email: format!("{username}@example.org"),
                first_name: "Ada".to_owned(),
                last_name: "Lovelace".to_owned(),
                password: password.to_owned(),
                ..CreateUserRequest::default()
            })
            .await
            .unwrap()
            .into_inner()
            .user
            .unwrap()
    }

    /// A new user who can log in.
    pub(crate) async fn person(&self, username: &str) -> Person {
        Person::settle(self, username).await
    }

    /// The id of a role.
    pub(crate) async fn role_id(&self, name: &str) -> String {
        let request = ListRolesRequest {
            name: name.to_owned(),
            ..ListRolesRequest::default()
        };
        let answer = self.api.roles(&self.admin).list_roles(request).await;
        answer.unwrap().into_inner().roles.pop().unwrap().id
    }

    /// Ends both and removes what is outside their folder.
    pub(crate) async fn dispose(self) {
        let urls = [&self.user, &self.auth].map(|replica| replica.launch.database_url.clone());
        let store = self.store.clone();
        drop(self);
        for url in urls {
            store.drop_database(&url).await;
        }
    }
}

/// A folder for what must outlive a database on a server; a file has it beside it.
fn state_dir(store: &Store, folder: &Path, service: Service) -> Option<PathBuf> {
    let Store::Postgres(_) = store else {
        return None;
    };
    let state = folder.join(service.name()).join("state");
    std::fs::create_dir_all(&state).unwrap();
    Some(state)
}

fn log_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}
