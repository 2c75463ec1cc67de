//! The loop that accepts connections and hands them to the threads.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{connection, endpoint::Shared, workers::Queues};

/// How long to wait when the machine is out of file descriptors or memory: accepting again at once would only spin.
const BREATHER: Duration = Duration::from_millis(50);

/// Accepts until `until` is cancelled; the socket is closed then.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    queues: Queues,
    until: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = until.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) if has_room(&shared) => {
                // Taken here, so that a connection counts before its thread has begun with it.
                let place = shared.connections.token();
                let Ok(socket) = detach(socket) else { continue };
                let (shared, until) = (Arc::clone(&shared), until.clone());
                queues.spawn(async move {
                    connection::serve(socket, peer, &shared, &until).await;
                    drop(place);
                });
            }
            Ok(_) => {
                tracing::warn!(
                    listener = shared.name,
                    "refused a connection beyond the limit"
                );
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(listener = shared.name, %error, "cannot accept");
                sleep(BREATHER).await;
            }
        }
    }
}

fn has_room(shared: &Shared) -> bool {
    shared.connections.len() < shared.limits.max_connections
}

/// Takes a socket off this runtime, so that another one can have it.
fn detach(socket: TcpStream) -> io::Result<std::net::TcpStream> {
    socket.set_nodelay(true)?;
    socket.into_std()
}

/// Whether an error is of one connection alone.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
