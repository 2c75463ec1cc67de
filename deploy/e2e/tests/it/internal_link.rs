//! The internal listener with mTLS: a certificate of the peer opens it, no certificate does not.

use std::fs;

use identity_dev::service::{Link, Service};
use tonic::{
    Code,
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};

use crate::harness::{Store, World, person::refused, raw};

const GET_CREDENTIAL: &str = "/identity.user.v1.CredentialService/GetCredential";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_the_peer_opens_the_internal_listener() {
    let mut world = World::linked(Store::Sqlite, Link::MutualTls).await;
    world.start().await;

    let peer = channel(&world, Some(Service::Auth));
    let known = raw::call(&peer, GET_CREDENTIAL, Vec::new(), MetadataMap::new()).await;
    assert_eq!(refused(known), "INVALID_FIELDS");

    let itself = channel(&world, Some(Service::User));
    let stranger = raw::call(&itself, GET_CREDENTIAL, Vec::new(), MetadataMap::new()).await;
    assert_eq!(refused(stranger), "SERVICE_IDENTITY_REQUIRED");

    // Without a certificate the handshake fails, or the call is refused: never an answer.
    let nobody = channel(&world, None);
    let outcome = raw::call(&nobody, GET_CREDENTIAL, Vec::new(), MetadataMap::new()).await;
    let status = outcome.unwrap_err();
    assert!(
        matches!(
            status.code(),
            Code::Unavailable | Code::Unauthenticated | Code::Unknown
        ),
        "{status:?}"
    );
}

/// A channel to the internal listener of user-service with the certificate of a service.
fn channel(world: &World, own: Option<Service>) -> Channel {
    let read = |path| fs::read_to_string(path).unwrap();
    let authority = Certificate::from_pem(read(world.material.authority()));
    let mut tls = ClientTlsConfig::new().ca_certificate(authority);
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(
            read(world.material.certificate(own)),
            read(world.material.private_key(own)),
        ));
    }
    let address = world.user.launch.endpoints.internal;
    Channel::from_shared(format!("https://{address}"))
        .unwrap()
        .tls_config(tls)
        .unwrap()
        .connect_lazy()
}
