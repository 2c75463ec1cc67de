//! A service that is stopped and started again, and one that does not start.

use std::sync::Arc;

use identity_guard::{SystemClock, clock::SharedClock};
use identity_kit::{entropy::SystemEntropy, server::Listeners, shutdown::Shutdown};
use prometheus::Registry;
use user_service::{
    app::{AccessSource, App},
    config::Config,
};

use super::{World, access, issuer::Issuer, launch, lazy};

impl World {
    /// Stops the service, lets something be done with its settings meanwhile, and starts it again with them.
    pub(crate) async fn restarted(self, meanwhile: impl AsyncFnOnce(&mut Config)) -> Self {
        let Self {
            app,
            mut config,
            clock,
            public,
            internal,
            issuer,
            shutdown,
            ..
        } = self;
        shutdown.start();
        drop((public, internal));
        app.ended().await.unwrap();
        meanwhile(&mut config).await;
        let (app, shutdown) = launch(&config, &issuer, &clock).await;
        let addresses = app.addresses();
        Self {
            app,
            config,
            clock,
            public: lazy(addresses.public),
            internal: lazy(addresses.internal),
            issuer,
            shutdown,
            admin: self.admin,
            counter: self.counter,
            database: self.database,
            folder: self.folder,
        }
    }
}

/// Why a service does not start.
pub(crate) async fn refused(config: &Config) -> String {
    let clock: SharedClock = Arc::new(SystemClock);
    let access = access(&Issuer::new(), &clock);
    let app = App::start(
        Listeners::on_free_ports().unwrap(),
        Shutdown::manual(),
        clock,
        Arc::new(SystemEntropy),
        Registry::new(),
        config,
        AccessSource::Given(access),
    );
    match app.await {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}
