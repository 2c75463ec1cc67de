//! A notes server behind the guard: what a backend writes to leave identity to the identity services.

mod args;
mod contract;
mod guard;
mod notes;
#[cfg(test)]
mod tests;

use std::{error::Error, sync::Arc};

use clap::Parser;
use identity_guard::{SharedClock, SystemClock};
use tokio::{net::TcpListener, signal};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use args::Args;
use contract::notes_service_server::NotesServiceServer;
use notes::Notes;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await?;
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            let _ = signal::ctrl_c().await;
            stop.cancel();
        }
    });
    serve(&args, listener, stop).await
}

/// Serves the notes behind the guard until told to stop.
async fn serve(
    args: &Args,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Box<dyn Error>> {
    let clock: SharedClock = Arc::new(SystemClock);
    let guard = guard::layer(args, &clock, &stop)?;
    tracing::info!(address = %listener.local_addr()?, "serving notes");
    Server::builder()
        .layer(guard)
        .add_service(NotesServiceServer::new(Notes::new(clock)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
        .await?;
    Ok(())
}
