//! The change feed: the own outbox followed into memory, and from there to every watcher.

mod intake;
mod render;
mod wire;

use std::sync::Arc;

use identity_kit::{
    clock::SharedClock,
    database::Database,
    feed::{Answers, History, Ledger, Placed, Source, Watchers, serve},
};
use identity_proto::user::v1::{
    WatchRequest, WatchResponse, change_feed_service_server::ChangeFeedService,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub use self::intake::Intake;
use crate::domain::change::{Committed, Policy};
use wire::Words;

/// The feed in memory.
pub type ChangeHistory = History<Policy>;

impl Ledger for Policy {
    type Change = Committed;

    fn add(&mut self, placed: &Placed<Committed>) {
        Self::add(self, &placed.cursor.position, &placed.change.change);
    }
}

/// The live feed of changes, for the other service and for whoever must know of each change.
pub struct ChangeFeed(Source<Words>);

impl ChangeFeed {
    /// From this memory; streams end with a goodbye when `draining` is cancelled.
    #[must_use]
    pub fn new(
        history: Arc<ChangeHistory>,
        watchers: Watchers,
        database: Database,
        clock: SharedClock,
        draining: CancellationToken,
    ) -> Self {
        Self(Source {
            protocol: Arc::new(Words),
            history,
            watchers,
            database,
            clock,
            draining,
        })
    }
}

#[tonic::async_trait]
impl ChangeFeedService for ChangeFeed {
    type WatchStream = Answers<WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(serve(&self.0, request.into_inner())))
    }
}
