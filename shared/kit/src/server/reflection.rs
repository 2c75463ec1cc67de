//! gRPC reflection of chosen services; the files of all others are not told.

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::service::Routes;
use tonic_reflection::server::Builder;

use super::ServeError;

/// Both versions of reflection for these services and health; none without services.
pub(super) fn routes(services: &[String]) -> Result<Option<Routes>, ServeError> {
    if services.is_empty() {
        return Ok(None);
    }
    let failed = |error: &dyn std::error::Error| ServeError::Reflection(error.to_string());
    let contract = FileDescriptorSet::decode(identity_proto::DESCRIPTOR_SET)
        .map_err(|error| failed(&error))?;
    let told = tell(contract, services);
    // Older clients speak v1alpha only. Each version lists itself, and nothing lists the other one.
    let v1 = builder(&told, services, "grpc.reflection.v1.ServerReflection")
        .build_v1()
        .map_err(|error| failed(&error))?;
    let v1alpha = builder(&told, services, "grpc.reflection.v1alpha.ServerReflection")
        .build_v1alpha()
        .map_err(|error| failed(&error))?;
    Ok(Some(Routes::new(v1).add_service(v1alpha)))
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
