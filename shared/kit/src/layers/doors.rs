//! The doors behind the layers: health and reflection, plain HTTP, and the guarded RPCs.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response, StatusCode};
use tonic::{body::Body, service::Routes};
use tower::util::BoxCloneSyncService;

use super::wire;
use crate::server::RpcService;

const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.";

/// Methods of this server itself that answer for as long as somebody listens.
pub(super) const ENDLESS: [&str; 3] = [
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Whether a path is one of health's.
pub(super) fn is_health(path: &str) -> bool {
    path.starts_with(HEALTH)
}

/// What a listener serves.
#[derive(Clone)]
pub(crate) struct Doors(Arc<Services>);

/// The services behind the doors.
pub(crate) struct Services {
    /// The RPCs, behind the guard.
    pub(crate) rpcs: RpcService,
    /// Health, for everybody.
    pub(crate) health: RpcService,
    /// Reflection, for everybody where it is on.
    pub(crate) reflection: Option<RpcService>,
    /// Whatever is not gRPC.
    pub(crate) http: RpcService,
}

impl Doors {
    /// The doors to these services.
    pub(crate) fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }

    fn to(&self, request: &Request<Body>) -> RpcService {
        let services = &self.0;
        let path = request.uri().path();
        if !wire::is_grpc(request) {
            services.http.clone()
        } else if is_health(path) {
            services.health.clone()
        } else if path.starts_with(REFLECTION)
            && let Some(reflection) = &services.reflection
        {
            reflection.clone()
        } else {
            services.rpcs.clone()
        }
    }
}

/// HTTP routes as a service; what they do not know is 404, or 415 where it could have been meant as a call.
pub(crate) fn http(routes: axum::Router) -> RpcService {
    let routes = routes.fallback(|method: Method| async move {
        if method == Method::POST {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        } else {
            StatusCode::NOT_FOUND
        }
    });
    BoxCloneSyncService::new(Routes::from(routes))
}

impl tower::Service<Request<Body>> for Doors {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <RpcService as tower::Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Every service behind a door is a router, which is always ready.
        self.to(&request).call(request)
    }
}
