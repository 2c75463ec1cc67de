//! Starts that come to nothing.

use std::sync::Arc;

use auth_service::app::{App, DirectorySource, StartError};
use identity_kit::{entropy::SystemEntropy, server::Listeners, shutdown::Shutdown};

use crate::harness::{eventually, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_halfway_leaves_nothing_behind() {
    for world in worlds().await {
        world.start().await.stop().await;
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("root");
        std::fs::write(&other, [8; 32]).unwrap();
        let mut config = world.config(&[]);
        config.access.root_secret_file = Some(other);
        let failed = App::start(
            Listeners::on_free_ports().unwrap(),
            Shutdown::manual(),
            world.clock.clone(),
            Arc::new(SystemEntropy),
            prometheus::Registry::new(),
            &config,
            DirectorySource::Given(world.directory.clone()),
        )
        .await;
        // Found out when the database is open already.
        assert!(matches!(failed, Err(StartError::Keys(_))));
        // A task that went on would hold the database, which only one program may serve from.
        let shutdown = Shutdown::manual();
        let mut app = None;
        eventually("the database is free", async || {
            app = world.try_start(shutdown.clone(), &[]).await.ok();
            app.is_some()
        })
        .await;
        shutdown.start();
        app.unwrap().ended().await.unwrap();
    }
}
