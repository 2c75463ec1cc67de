//! Which services are on which listener.

use std::sync::Arc;

use identity_kit::server::MAX_MESSAGE_BYTES;
use identity_proto::auth::v1::{
    access_feed_service_server::AccessFeedServiceServer, auth_service_server::AuthServiceServer,
    session_service_server::SessionServiceServer,
    signing_key_service_server::SigningKeyServiceServer,
};
use tonic::service::{Routes, RoutesBuilder};

use crate::{
    authority::Authority,
    feed::AccessFeedGrpc,
    grpc::{auth::AuthGrpc, session::SessionGrpc, signing_key::SigningKeyGrpc},
};

/// A service with the limits of messages.
macro_rules! limited {
    ($server:ident, $service:expr) => {
        $server::new($service)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    };
}

/// For everybody.
pub(crate) fn public(authority: &Arc<Authority>) -> Routes {
    services(authority).routes()
}

/// For guards and the other service: the same, so that they need one channel, and what is for them alone.
pub(crate) fn internal(authority: &Arc<Authority>, feed: AccessFeedGrpc) -> Routes {
    let mut builder = services(authority);
    builder.add_service(limited!(AccessFeedServiceServer, feed));
    builder.routes()
}

fn services(authority: &Arc<Authority>) -> RoutesBuilder {
    let shared = || Arc::clone(authority);
    let mut builder = Routes::builder();
    builder
        .add_service(limited!(AuthServiceServer, AuthGrpc::new(shared())))
        .add_service(limited!(SessionServiceServer, SessionGrpc::new(shared())))
        .add_service(limited!(
            SigningKeyServiceServer,
            SigningKeyGrpc::new(shared())
        ));
    builder
}
