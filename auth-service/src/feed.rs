//! The access feed: the own outbox followed into memory, and from there to every watcher.

mod intake;
mod memory;
mod watch;
mod wire;

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use identity_guard::clock::SharedClock;
use identity_kit::database::Database;
use identity_proto::auth::v1::{
    WatchRequest, WatchResponse, access_feed_service_server::AccessFeedService,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub use self::{intake::Intake, memory::FeedMemory};

/// Messages on their way to one watcher, each of one part at most. A slow one holds no more than this; what it misses
/// waits in shared memory.
const OUTGOING: usize = 4;

/// The live feed, for guards and replicas.
#[derive(Clone)]
pub struct AccessFeedGrpc {
    memory: Arc<FeedMemory>,
    database: Database,
    clock: SharedClock,
    issuer: String,
    draining: CancellationToken,
}

impl AccessFeedGrpc {
    /// From this memory; streams end with a goodbye when `draining` is cancelled.
    #[must_use]
    pub fn new(
        memory: Arc<FeedMemory>,
        database: Database,
        clock: SharedClock,
        issuer: String,
        draining: CancellationToken,
    ) -> Self {
        Self {
            memory,
            database,
            clock,
            issuer,
            draining,
        }
    }
}

#[tonic::async_trait]
impl AccessFeedService for AccessFeedGrpc {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (outgoing, answers) = mpsc::channel(OUTGOING);
        let watching = watch::Watch::new(self.clone(), request.into_inner(), outgoing);
        tokio::spawn(watching.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}
