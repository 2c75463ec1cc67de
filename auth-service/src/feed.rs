//! The access feed: the own outbox followed into memory, and from there to every watcher.

mod intake;
mod memory;
mod wire;

use std::sync::Arc;

use identity_guard::{clock::SharedClock, engine::AccessState};
use identity_kit::{
    database::Database,
    feed::{Answers, Source, Watchers, serve},
};
use identity_proto::auth::v1::{
    WatchRequest, WatchResponse, access_feed_service_server::AccessFeedService,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub use self::{
    intake::Intake,
    memory::{AccessLedger, Change, FeedMemory, prune},
};
use wire::Words;

/// The live feed, for guards and replicas.
pub struct AccessFeedGrpc(Source<Words>);

impl AccessFeedGrpc {
    /// From this memory; streams end with a goodbye when `draining` is cancelled.
    #[must_use]
    pub fn new(
        memory: Arc<FeedMemory>,
        watchers: Watchers,
        database: Database,
        clock: SharedClock,
        issuer: String,
        state: Arc<AccessState>,
        draining: CancellationToken,
    ) -> Self {
        Self(Source {
            protocol: Arc::new(Words { issuer, state }),
            history: memory,
            watchers,
            database,
            clock,
            draining,
        })
    }
}

#[tonic::async_trait]
impl AccessFeedService for AccessFeedGrpc {
    type WatchStream = Answers<WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(serve(&self.0, request.into_inner())))
    }
}
