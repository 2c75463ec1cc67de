//! Hints between the replicas on one PostgreSQL database: whoever has committed says so, and the others look at once.
//!
//! A hint is sent after the commit and not in it: a transaction that notifies waits at its commit for every other one
//! that does. Nothing hangs on a hint, since everybody looks from time to time anyway.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use sqlx::postgres::PgListener;
use tokio::{sync::watch, time::sleep};

use crate::{
    database::{Database, StoreError},
    entropy::SystemEntropy,
    id::new_id,
};

const CHANNEL: &str = "identity_feed";
/// Between two hints of one process.
const EVERY: Duration = Duration::from_millis(5);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Sends and hears hints for as long as it is polled. On SQLite there is nobody to tell.
pub(super) async fn exchange(database: Database, heard: watch::Sender<()>) {
    if database.backend() == DbBackend::Sqlite {
        return std::future::pending().await;
    }
    // Tells processes apart and is no secret.
    let own = new_id(&SystemEntropy);
    tokio::join!(
        tell(database.dedicated(), database.commits(), &own),
        hear(database.dedicated(), &heard, &own)
    );
}

async fn tell(connection: DatabaseConnection, mut commits: watch::Receiver<()>, own: &str) {
    while commits.changed().await.is_ok() {
        let hint = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_notify($1, $2)",
            [CHANNEL.into(), own.into()],
        );
        match connection.query_one_raw(hint).await {
            Ok(_) => sleep(EVERY).await,
            Err(error) => {
                tracing::debug!(error = ?StoreError::from(error), "no hint was sent");
                sleep(RETRY).await;
            }
        }
    }
}

async fn hear(connection: DatabaseConnection, heard: &watch::Sender<()>, own: &str) {
    loop {
        let Err(error) = listen(&connection, heard, own).await;
        tracing::debug!(%error, "hints are not heard");
        sleep(RETRY).await;
    }
}

async fn listen(
    connection: &DatabaseConnection,
    heard: &watch::Sender<()>,
    own: &str,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let pool = connection.get_postgres_connection_pool();
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was committed before it listened, or while the connection was away, was told to nobody.
        heard.send_replace(());
        while let Some(hint) = listener.try_recv().await? {
            if hint.payload() != own {
                heard.send_replace(());
            }
        }
    }
}
