//! Starts that come to nothing.

use auth_service::app::StartError;
use identity_kit::shutdown::Shutdown;

use crate::harness::{eventually, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_halfway_leaves_nothing_behind() {
    for world in worlds().await {
        // Found out when the feed is followed already.
        let keyless = ["--tls-cert-file=/nowhere/tls.crt"];
        let failed = world.try_start(Shutdown::manual(), &keyless).await;
        assert!(matches!(failed, Err(StartError::Config(_))));
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
