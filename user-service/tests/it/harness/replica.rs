//! A second process on a database, as far as one process can have it.

use identity_kit::shutdown::Shutdown;
use identity_proto::user::v1::{
    revision_service_client::RevisionServiceClient, user_service_client::UserServiceClient,
};
use tonic::transport::Channel;
use user_service::app::App;

use super::{World, launch, lazy};

/// A second service on the database of a [`World`], which knows the same tokens.
pub(crate) struct Replica {
    pub(crate) app: App,
    public: Channel,
    shutdown: Shutdown,
}

impl Replica {
    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.public.clone())
    }

    pub(crate) fn revisions(&self) -> RevisionServiceClient<Channel> {
        RevisionServiceClient::new(self.public.clone())
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.start();
        drop(self.public);
        self.app.ended().await.unwrap();
    }
}

impl World {
    /// Another process on the same database.
    pub(crate) async fn replica(&self) -> Replica {
        let (app, shutdown) = launch(&self.config, &self.issuer, &self.clock).await;
        let public = lazy(app.addresses().public);
        Replica {
            app,
            public,
            shutdown,
        }
    }
}
