//! The guard's question, what a user may do now, answered by the store.

use std::sync::Arc;

use identity_guard::{
    engine::VerifiedToken,
    rights::{Rights, RightsSource},
    status::Failure,
};

use crate::store::Store;

/// Rights from the own database, by way of its cache.
pub(crate) struct StoredRights(pub(crate) Store);

#[tonic::async_trait]
impl RightsSource for StoredRights {
    async fn rights(&self, token: &VerifiedToken, _text: &str) -> Result<Arc<Rights>, Failure> {
        Ok(self.0.rights(&token.claims().sub).await?)
    }
}
