//! The loop that accepts connections and hands them to the threads.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

use super::{
    connection,
    endpoint::Shared,
    refusals::{Refusal, Refusals},
    shares::{Place, ShareTaken},
    workers::Queues,
};

/// How long to wait when the machine is out of file descriptors or memory: accepting again at once would only spin.
const BREATHER: Duration = Duration::from_millis(50);

/// Accepts until `until` is cancelled; the socket is closed then.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    queues: Queues,
    mut refusals: Refusals,
    until: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = until.cancelled() => return,
            () = refusals.due() => {
                refusals.say();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => {
                tracing::error!(listener = shared.name, %error, "cannot accept");
                sleep(BREATHER).await;
                continue;
            }
        };
        // Taken here, so that a connection counts before its thread has begun with it.
        let (open, place) = match take_place(&shared, peer.ip()) {
            Ok(taken) => taken,
            Err(refusal) => {
                refusals.count(refusal);
                continue;
            }
        };
        let Ok(socket) = detach(socket) else { continue };
        let (shared, until) = (Arc::clone(&shared), until.clone());
        queues.spawn(async move {
            connection::serve(socket, peer, place, &shared, &until).await;
            drop(open);
        });
    }
}

/// A place among all connections of the listener, and one in the share of the address.
fn take_place(
    shared: &Shared,
    address: IpAddr,
) -> Result<(TaskTrackerToken, Option<Place>), Refusal> {
    if shared.connections.len() >= shared.limits.max_connections {
        return Err(Refusal::ListenerFull);
    }
    let place = shared.shares.as_ref().map(|all| all.take(address));
    match place.transpose() {
        Ok(place) => Ok((shared.connections.token(), place.flatten())),
        Err(ShareTaken) => Err(Refusal::AddressFull),
    }
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
