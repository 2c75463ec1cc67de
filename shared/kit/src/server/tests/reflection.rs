//! Reflection in both of its versions: what it tells, what it hides, and where it is not.

use futures_util::StreamExt;

use super::harness::{TestServer, channel, refused};
use crate::status::ErrorReason;

/// The services that are told besides reflection itself.
const TOLD: [&str; 2] = ["grpc.health.v1.Health", "identity.auth.v1.SessionService"];
/// A service of the contract that this listener does not serve.
const HIDDEN: &str = "identity.user.v1.CredentialService";

/// One test a version: their messages have the same fields and are different types.
macro_rules! in_version {
    ($test:ident, $version:ident) => {
        #[tokio::test]
        async fn $test() {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };

            let server = TestServer::start();
            let mut client = ServerReflectionClient::new(channel(server.addresses.public));
            let mut ask = async |request: MessageRequest| {
                let request = ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(request),
                };
                let requests = futures_util::stream::iter([request]);
                let answers = client.server_reflection_info(requests).await?;
                let answer = answers.into_inner().next().await.expect("one")?;
                Ok::<_, tonic::Status>(answer.message_response.expect("has one"))
            };
            let listed = ask(MessageRequest::ListServices(String::new())).await;
            let Ok(MessageResponse::ListServicesResponse(services)) = listed else {
                panic!("expected a list: {listed:?}")
            };
            let mut names: Vec<_> = services.service.into_iter().map(|one| one.name).collect();
            names.sort();
            let own = format!("grpc.reflection.{}.ServerReflection", stringify!($version));
            assert_eq!(names, [TOLD[0], &own, TOLD[1]]);

            let hidden = MessageRequest::FileContainingSymbol(HIDDEN.to_owned());
            refused(ask(hidden).await, ErrorReason::NotFound);
            for told in TOLD {
                let answer = ask(MessageRequest::FileContainingSymbol(told.to_owned())).await;
                let Ok(MessageResponse::FileDescriptorResponse(files)) = answer else {
                    panic!("expected the file of {told}: {answer:?}")
                };
                assert!(!files.file_descriptor_proto.is_empty());
            }

            let mut internal = ServerReflectionClient::new(channel(server.addresses.internal));
            let none = internal
                .server_reflection_info(futures_util::stream::empty::<ServerReflectionRequest>())
                .await;
            refused(none, ErrorReason::MethodNotFound);
            server.stop().await;
        }
    };
}

in_version!(version_1_tells_the_listed_services_and_hides_the_others, v1);
in_version!(version_1_alpha_tells_the_same, v1alpha);
