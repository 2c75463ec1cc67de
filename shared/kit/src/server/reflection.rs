//! gRPC reflection of chosen services; the files of all others are not told.

use std::{
    convert::Infallible,
    error::Error,
    future::ready,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use http::{Request, Response};
use identity_guard::status::Failure;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::{Status, body::Body, service::Routes};
use tonic_reflection::server::Builder;
use tower::{Service, util::BoxCloneSyncService};

use super::RpcService;

/// Both versions of reflection for these services and health; none without services.
pub(super) fn service(services: Vec<String>) -> Option<RpcService> {
    if services.is_empty() {
        return None;
    }
    Some(BoxCloneSyncService::new(Reflection(Arc::new(
        LazyLock::new(Box::new(move || made(&services))),
    ))))
}

/// Reflection, made when it is first asked for: most services never are, and the decoded contract takes milliseconds
/// of the start and a megabyte for good.
#[derive(Clone)]
struct Reflection(Arc<LazyLock<Option<RpcService>, Maker>>);

type Maker = Box<dyn FnOnce() -> Option<RpcService> + Send>;

impl Service<Request<Body>> for Reflection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <RpcService as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &**self.0 {
            // A router is always ready.
            Some(routes) => routes.clone().call(request),
            None => Box::pin(ready(Ok(Status::from(Failure::internal()).into_http()))),
        }
    }
}

fn made(services: &[String]) -> Option<RpcService> {
    match routes(services) {
        Ok(routes) => Some(BoxCloneSyncService::new(routes.prepare())),
        Err(error) => {
            tracing::error!(error, "a defect of the contract: it cannot be reflected");
            None
        }
    }
}

fn routes(services: &[String]) -> Result<Routes, Box<dyn Error>> {
    let contract = FileDescriptorSet::decode(identity_proto::DESCRIPTOR_SET)?;
    let told = tell(contract, services);
    // Older clients speak v1alpha only. Each version lists itself, and nothing lists the other one.
    let v1 = builder(&told, services, "grpc.reflection.v1.ServerReflection").build_v1()?;
    let v1alpha =
        builder(&told, services, "grpc.reflection.v1alpha.ServerReflection").build_v1alpha()?;
    Ok(Routes::new(v1).add_service(v1alpha))
}

fn builder(told: &FileDescriptorSet, services: &[String], own: &str) -> Builder<'static> {
    let builder = Builder::configure()
        .register_file_descriptor_set(told.clone())
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name(own);
    services.iter().fold(builder, Builder::with_service_name)
}

/// Leaves out files that define other services and that nothing told depends on.
fn tell(contract: FileDescriptorSet, services: &[String]) -> FileDescriptorSet {
    let is_other = |file: &FileDescriptorProto| {
        file.service
            .iter()
            .any(|service| !services.contains(&format!("{}.{}", file.package(), service.name())))
    };
    let needed: Vec<String> = contract
        .file
        .iter()
        .filter(|file| !is_other(file))
        .flat_map(|file| file.dependency.iter().cloned())
        .collect();
    FileDescriptorSet {
        file: contract
            .file
            .into_iter()
            .filter(|file| !is_other(file) || needed.iter().any(|name| name == file.name()))
            .collect(),
    }
}
