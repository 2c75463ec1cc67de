//! Calls of any method of the contract by its path.

use prost_reflect::DynamicMessage;
use tonic::{Status, client::Grpc};
use tonic_prost::ProstCodec;

use super::{SERVICE_KEY, World, with_key};

impl World {
    /// Calls `/package.Service/Method` as who may: auth-service for credentials, the administrator for all else.
    pub(crate) async fn call(&self, path: &str, message: DynamicMessage) -> Result<(), Status> {
        let request = if path.contains("CredentialService") {
            with_key(message, SERVICE_KEY)
        } else {
            self.by_admin(message)
        };
        let mut client = Grpc::new(self.internal());
        client.ready().await.unwrap();
        let codec = ProstCodec::<DynamicMessage, ()>::default();
        client
            .unary(request, path.parse().unwrap(), codec)
            .await
            .map(|_| ())
    }
}
