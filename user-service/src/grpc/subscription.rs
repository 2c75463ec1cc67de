//! `SubscriptionService`: which plan a user has, until when, and what it entitles to.

use std::sync::Arc;

use identity_proto::user::v1::{self as wire, subscription_service_server::SubscriptionService};
use tonic::{Request, Response, Status};

use super::Context;

mod cancel;
mod create;
mod get;
mod list;
mod renew;
mod update;

/// Serves subscriptions.
pub struct Subscriptions(pub Arc<Context>);

#[tonic::async_trait]
impl SubscriptionService for Subscriptions {
    async fn create_subscription(
        &self,
        request: Request<wire::CreateSubscriptionRequest>,
    ) -> Result<Response<wire::CreateSubscriptionResponse>, Status> {
        Ok(Response::new(create::handle(&self.0, request).await?))
    }

    async fn get_subscription(
        &self,
        request: Request<wire::GetSubscriptionRequest>,
    ) -> Result<Response<wire::GetSubscriptionResponse>, Status> {
        Ok(Response::new(get::handle(&self.0, request).await?))
    }

    async fn list_subscriptions(
        &self,
        request: Request<wire::ListSubscriptionsRequest>,
    ) -> Result<Response<wire::ListSubscriptionsResponse>, Status> {
        Ok(Response::new(list::handle(&self.0, request).await?))
    }

    async fn update_subscription(
        &self,
        request: Request<wire::UpdateSubscriptionRequest>,
    ) -> Result<Response<wire::UpdateSubscriptionResponse>, Status> {
        Ok(Response::new(update::handle(&self.0, request).await?))
    }

    async fn cancel_subscription(
        &self,
        request: Request<wire::CancelSubscriptionRequest>,
    ) -> Result<Response<wire::CancelSubscriptionResponse>, Status> {
        Ok(Response::new(cancel::handle(&self.0, request).await?))
    }

    async fn renew_subscription(
        &self,
        request: Request<wire::RenewSubscriptionRequest>,
    ) -> Result<Response<wire::RenewSubscriptionResponse>, Status> {
        Ok(Response::new(renew::handle(&self.0, request).await?))
    }
}
