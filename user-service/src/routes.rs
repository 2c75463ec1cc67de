//! Which services are on which listener.

use std::sync::Arc;

use identity_kit::{feed::Watchers, server::MAX_MESSAGE_BYTES};
use identity_proto::user::v1::{
    audit_service_server::AuditServiceServer, change_feed_service_server::ChangeFeedServiceServer,
    credential_service_server::CredentialServiceServer,
    permission_service_server::PermissionServiceServer,
    revision_service_server::RevisionServiceServer, role_service_server::RoleServiceServer,
    subscription_service_server::SubscriptionServiceServer, user_service_server::UserServiceServer,
    user_type_service_server::UserTypeServiceServer,
};
use tonic::service::{Routes, RoutesBuilder};

use crate::{
    feed::ChangeFeed,
    grpc::{
        AuditEvents, Context, Credentials, Permissions, Revisions, Roles, Subscriptions, UserTypes,
        Users,
    },
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
pub(crate) fn public(context: &Arc<Context>, watchers: &Watchers) -> Routes {
    services(context, watchers).routes()
}

/// For other services: the same, so that they need one channel, and what is for them alone.
pub(crate) fn internal(context: &Arc<Context>, watchers: &Watchers, feed: ChangeFeed) -> Routes {
    let mut builder = services(context, watchers);
    builder
        .add_service(limited!(
            CredentialServiceServer,
            Credentials(Arc::clone(context))
        ))
        .add_service(limited!(ChangeFeedServiceServer, feed));
    builder.routes()
}

fn services(context: &Arc<Context>, watchers: &Watchers) -> RoutesBuilder {
    let mut builder = Routes::builder();
    builder
        .add_service(limited!(UserServiceServer, Users(Arc::clone(context))))
        .add_service(limited!(
            UserTypeServiceServer,
            UserTypes(Arc::clone(context))
        ))
        .add_service(limited!(RoleServiceServer, Roles(Arc::clone(context))))
        .add_service(limited!(
            PermissionServiceServer,
            Permissions(Arc::clone(context))
        ))
        .add_service(limited!(
            RevisionServiceServer,
            Revisions {
                context: Arc::clone(context),
                watchers: watchers.clone(),
            }
        ))
        .add_service(limited!(
            SubscriptionServiceServer,
            Subscriptions(Arc::clone(context))
        ))
        .add_service(limited!(
            AuditServiceServer,
            AuditEvents(Arc::clone(context))
        ));
    builder
}
