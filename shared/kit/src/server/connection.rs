//! One connection: its handshake, its calls, its idleness, its age and its end.

use std::{
    convert::Infallible,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use identity_guard::services::PeerInfo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    endpoint::Shared,
    shares::Place,
    tls,
    usage::{Held, Usage},
};
use crate::layers::BeyondShare;

/// The length of the HTTP/2 preface; no HTTP/1.1 request is shorter.
const OPENING_BYTES: usize = 24;

/// Serves a connection to its end, on its place in the share of its address. When `until` is cancelled it finishes the calls that have begun.
pub(super) async fn serve(
    socket: std::net::TcpStream,
    address: SocketAddr,
    place: Option<Place>,
    shared: &Arc<Shared>,
    until: &CancellationToken,
) {
    let Ok(socket) = TcpStream::from_std(socket) else {
        return;
    };
    let Some(certificates) = &shared.certificates else {
        let peer = PeerInfo {
            address: Some(address),
            ..PeerInfo::default()
        };
        return converse(socket, peer, place, shared, until).await;
    };
    let handshake = timeout(
        shared.limits.handshake_timeout,
        certificates.acceptor().accept(socket),
    );
    match until.run_until_cancelled(handshake).await {
        Some(Ok(Ok(socket))) => {
            let peer = PeerInfo {
                address: Some(address),
                sans: tls::subject_names(socket.get_ref().1).into(),
            };
            converse(socket, peer, place, shared, until).await;
        }
        Some(Ok(Err(error))) => {
            tracing::debug!(listener = shared.name, %error, "the TLS handshake failed");
        }
        Some(Err(_)) => tracing::debug!(listener = shared.name, "the TLS handshake took too long"),
        None => {}
    }
}

/// How far a connection has come.
enum Stage {
    /// It has not said what it wants.
    Silent,
    /// It is in use.
    Open,
    /// It was told to end, and finishes its calls.
    Ending,
}

async fn converse<S>(
    socket: S,
    peer: PeerInfo,
    place: Option<Place>,
    shared: &Arc<Shared>,
    until: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let heard = Arc::new(AtomicUsize::new(0));
    let socket = Counted {
        socket,
        heard: Arc::clone(&heard),
    };
    let usage = Usage::new(place);
    let (for_calls, used) = (Arc::clone(shared), Arc::clone(&usage));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let call = used.begin();
        request.extensions_mut().insert(peer.clone());
        if !call.is_within_share() {
            request.extensions_mut().insert(BeyondShare);
        }
        let shared = Arc::clone(&for_calls);
        async move {
            let answer = shared.face.answer(request).await?;
            Ok::<_, Infallible>(answer.map(|body| Held::new(body, call)))
        }
    });
    let mut connection = pin!(shared.http.serve_connection(TokioIo::new(socket), service));
    let mut timer = pin!(sleep(limits.handshake_timeout));
    let mut idle = pin!(usage.idle_for(limits.idle_timeout));
    let mut stage = Stage::Silent;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(listener = shared.name, error, "the connection broke");
                }
                return;
            }
            () = until.cancelled(), if !matches!(stage, Stage::Ending) => {}
            () = idle.as_mut(), if matches!(stage, Stage::Open) => {}
            () = timer.as_mut() => match stage {
                Stage::Silent if heard.load(Ordering::Relaxed) < OPENING_BYTES => return,
                Stage::Silent => {
                    stage = Stage::Open;
                    timer.as_mut().reset(Instant::now() + about(limits.max_connection_age));
                    continue;
                }
                Stage::Open => {}
                Stage::Ending => return,
            }
        }
        stage = Stage::Ending;
        timer
            .as_mut()
            .reset(Instant::now() + limits.max_connection_age_grace);
        connection.as_mut().graceful_shutdown();
    }
}

/// A time within a tenth of `time`, so that connections which began together do not end together.
fn about(time: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish();
    let permille = u32::try_from(900 + chance % 201).unwrap_or(1000);
    time / 1000 * permille
}

/// A socket that counts the bytes which came in.
struct Counted<S> {
    socket: S,
    heard: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buffer);
        let count = buffer.filled().len().saturating_sub(before);
        self.heard.fetch_add(count, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
