//! An access feed service whose streams a test plays by hand.

use std::net::SocketAddr;

use identity_proto::auth::v1::{
    WatchRequest, WatchResponse,
    access_feed_service_server::{AccessFeedService, AccessFeedServiceServer},
    watch_request::Start,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::{Answer, Code, Duration, FeedCursor, Said};
use crate::{
    channel::{ChannelConfig, IdentityChannel},
    clock::SharedClock,
};

type Says = mpsc::UnboundedSender<Result<WatchResponse, Status>>;

/// A stream that a follower asks for.
struct Asked {
    says: Streaming<WatchRequest>,
    answer: oneshot::Sender<Result<Answers, Status>>,
}

type Answers = UnboundedReceiverStream<Result<WatchResponse, Status>>;

pub(super) struct Feed {
    address: SocketAddr,
    streams: mpsc::UnboundedReceiver<Asked>,
}

struct Service(mpsc::UnboundedSender<Asked>);

#[tonic::async_trait]
impl AccessFeedService for Service {
    type WatchStream = Answers;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let over = || Status::unavailable("the test is over");
        let (answer, answered) = oneshot::channel();
        let says = request.into_inner();
        self.0.send(Asked { says, answer }).map_err(|_| over())?;
        answered.await.map_err(|_| over())?.map(Response::new)
    }
}

impl Feed {
    pub(super) async fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (sender, streams) = mpsc::unbounded_channel();
        tokio::spawn(
            Server::builder()
                .add_service(AccessFeedServiceServer::new(Service(sender)))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, streams }
    }

    pub(super) fn channel(&self, clock: SharedClock) -> IdentityChannel {
        let config = ChannelConfig {
            url: format!("http://{}", self.address),
            ca_file: None,
            cert_file: None,
            key_file: None,
            expected_san: None,
            service_key_file: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(5),
        };
        IdentityChannel::new(config, clock).expect("channel")
    }

    /// Refuses the next stream.
    pub(super) async fn refuse(&mut self, code: Code) {
        let asked = self.streams.recv().await.expect("a stream");
        drop(asked.answer.send(Err(Status::new(code, "refused"))));
    }

    /// Whether a stream is asked for.
    pub(super) fn is_asked(&self) -> bool {
        !self.streams.is_empty()
    }

    /// The next stream, with its Start.
    pub(super) async fn accept(&mut self) -> Stream {
        let asked = self.streams.recv().await.expect("a stream");
        let mut asks = asked.says;
        let (says, answers) = mpsc::unbounded_channel();
        drop(asked.answer.send(Ok(UnboundedReceiverStream::new(answers))));
        let (sender, heard) = mpsc::unbounded_channel();
        let first = asks.message().await.expect("a message").expect("a Start");
        let Some(Said::Start(start)) = first.message else {
            panic!("the first message is a Start");
        };
        let pump = tokio::spawn(async move {
            while let Ok(Some(request)) = asks.message().await {
                if sender
                    .send(request.message.expect("a known message"))
                    .is_err()
                {
                    return;
                }
            }
        });
        Stream {
            start,
            says,
            heard,
            pump,
        }
    }
}

/// One stream, from the server's side. Dropped, it ends.
pub(super) struct Stream {
    pub(super) start: Start,
    says: Says,
    heard: mpsc::UnboundedReceiver<Said>,
    pump: tokio::task::JoinHandle<()>,
}

impl Stream {
    pub(super) fn say(&self, answer: Answer) {
        let message = Some(answer);
        self.says
            .send(Ok(WatchResponse { message }))
            .expect("the stream is open");
    }

    /// A message as a newer server may send it.
    pub(super) fn say_nothing_known(&self) {
        self.says
            .send(Ok(WatchResponse { message: None }))
            .expect("the stream is open");
    }

    /// The nonce of the next ping.
    pub(super) async fn ping(&mut self) -> u64 {
        loop {
            if let Said::Ping(ping) = self.heard.recv().await.expect("a message") {
                return ping.nonce;
            }
        }
    }

    pub(super) fn pings_waiting(&self) -> bool {
        !self.heard.is_empty()
    }

    /// The first acknowledgement of this revision.
    pub(super) async fn acknowledged(&mut self, revision: u64) -> FeedCursor {
        loop {
            if let Said::Acknowledge(said) = self.heard.recv().await.expect("a message") {
                let position = said.position.expect("a position");
                if position.revision == revision {
                    return position;
                }
            }
        }
    }

    /// Waits until the follower has gone.
    pub(super) async fn closed(&mut self) {
        while self.heard.recv().await.is_some() {}
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.pump.abort();
    }
}
