//! `grpc.health.v1`: what of a listener can be used now, told honestly, and its end told in time.

mod monitor;
mod probe;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use identity_guard::status::{ErrorReason, Failure};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health as HealthRpcs, HealthServer},
};

pub use monitor::HealthMonitor;
pub use probe::{ProbeError, probe};

use crate::{server::MAX_MESSAGE_BYTES, shutdown::Shutdown};

/// The health of a listener, whose services all serve or do not. Clones are one.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    services: BTreeSet<String>,
    serving: bool,
    stopping: bool,
}

impl State {
    /// The state of a service; of all of them for the empty name; `None` for an unknown one.
    fn is_serving(&self, service: &str) -> Option<bool> {
        let is_known = service.is_empty() || self.services.contains(service);
        is_known.then_some(self.serving && !self.stopping)
    }

    fn status(&self, service: &str) -> ServingStatus {
        match self.is_serving(service) {
            Some(true) => ServingStatus::Serving,
            Some(false) => ServingStatus::NotServing,
            None => ServingStatus::ServiceUnknown,
        }
    }
}

impl Health {
    /// The health of these services (`package.Service`), none of which serves yet.
    #[must_use]
    pub fn new<'a>(services: impl IntoIterator<Item = &'a str>) -> Self {
        let services = services.into_iter().map(str::to_owned).collect();
        Self(Arc::new(watch::Sender::new(State {
            services,
            ..State::default()
        })))
    }

    /// Says of every service whether it serves.
    pub fn set_all(&self, serving: bool) {
        self.0.send_if_modified(|state| {
            let before = std::mem::replace(&mut state.serving, serving);
            before != serving
        });
    }

    /// Whether a service serves, or all of them for the empty name; `None` for an unknown one.
    #[must_use]
    pub fn is_serving(&self, service: &str) -> Option<bool> {
        self.0.borrow().is_serving(service)
    }

    /// Says `NOT_SERVING` of everything, for good.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|state| state.stopping = true);
    }

    /// The RPCs, whose streams end when `shutdown` drains.
    pub(crate) fn server(&self, shutdown: &Shutdown) -> HealthServer<impl HealthRpcs> {
        HealthServer::new(Rpcs {
            health: self.clone(),
            shutdown: shutdown.clone(),
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }
}

struct Rpcs {
    health: Health,
    shutdown: Shutdown,
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl HealthRpcs for Rpcs {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.health.0.borrow().status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => {
                Err(Failure::new(ErrorReason::NotFound, "no such service").into())
            }
            status => Ok(Response::new(response(status))),
        }
    }

    type WatchStream =
        std::pin::Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watcher = Watcher {
            states: self.health.0.subscribe(),
            service: request.into_inner().service,
            told: None,
            end: self.shutdown.draining().clone(),
            ended: false,
        };
        Ok(Response::new(Box::pin(stream::unfold(
            watcher,
            Watcher::next,
        ))))
    }
}

/// One caller of Watch.
struct Watcher {
    states: watch::Receiver<State>,
    service: String,
    told: Option<ServingStatus>,
    end: CancellationToken,
    ended: bool,
}

impl Watcher {
    /// The next news. The end comes only after the last state was told.
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        while !self.ended {
            let ending = self.end.is_cancelled();
            let status = self.states.borrow_and_update().status(&self.service);
            if self.told.replace(status) != Some(status) {
                return Some((Ok(response(status)), self));
            }
            if ending {
                self.ended = true;
                // The clients' libraries come back by themselves, to another replica, after this status alone.
                let what = "this replica, which is stopping,";
                let goodbye = Failure::unavailable(what, Duration::from_secs(1));
                return Some((Err(goodbye.into()), self));
            }
            tokio::select! {
                changed = self.states.changed() => changed.ok()?,
                () = self.end.cancelled() => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_tells_of_its_services_and_of_no_other() {
        let health = Health::new(["a.A", "b.B"]);
        for serving in [false, true, false] {
            health.set_all(serving);
            for service in ["", "a.A", "b.B"] {
                assert_eq!(health.is_serving(service), Some(serving), "{service:?}");
            }
            assert_eq!(health.is_serving("c.C"), None);
        }
    }

    #[test]
    fn nothing_serves_after_the_stop() {
        let health = Health::new(["a.A"]);
        health.stop();
        health.set_all(true);
        assert_eq!(health.is_serving("a.A"), Some(false));
        assert_eq!(health.is_serving(""), Some(false));
    }
}
