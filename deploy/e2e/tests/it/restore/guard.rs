//! A backend with the guard, which has watched since before the databases were put back.

use std::{sync::Arc, time::Duration};

use identity_guard::{
    AccessState, ChannelConfig, FollowConfig, Follower, IdentityChannel, SharedClock, SystemClock,
    VerifierConfig, engine::Refusal,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::PATIENCE;
use crate::harness::World;

/// What a backend knows of tokens.
pub(super) struct Backend {
    state: Arc<AccessState>,
    _until: DropGuard,
}

impl Backend {
    pub(super) fn start(world: &World) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let launch = &world.auth.launch;
        let config = ChannelConfig {
            url: format!("http://{}", launch.endpoints.internal),
            ca_file: None,
            cert_file: None,
            key_file: None,
            expected_san: None,
            service_key_file: Some(world.material.backend_service_key()),
            connect_timeout: Duration::from_secs(1),
            call_timeout: Duration::from_secs(1),
        };
        let channel = IdentityChannel::new(config, Arc::clone(&clock)).unwrap();
        let verifier = VerifierConfig::new(launch.issuer.as_str(), "identity");
        let staleness = Duration::from_secs(5);
        let state = Arc::new(AccessState::new(verifier, Arc::clone(&clock), staleness));
        let until = CancellationToken::new();
        let config = FollowConfig {
            watcher_name: "backend".to_owned(),
        };
        drop(Follower::spawn(channel, Arc::clone(&state), clock, config, until.clone()).unwrap());
        Self {
            state,
            _until: until.drop_guard(),
        }
    }

    /// A token is good, by what it knows for sure.
    pub(super) async fn takes(&self, token: &str) {
        assert_eq!(self.decide(token).await, Ok(()));
    }

    /// A token is refused, by what it knows for sure.
    pub(super) async fn refuses(&self, token: &str) {
        assert_eq!(self.decide(token).await, Err(Refusal::Revoked));
    }

    /// A token that was good is refused before long.
    pub(super) async fn comes_to_refuse(&self, token: &str) {
        let refused = async {
            while self.decide(token).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.unwrap();
        self.refuses(token).await;
    }

    /// Which history it knows.
    pub(super) fn epoch(&self) -> String {
        self.state.position().unwrap().epoch
    }

    /// Waits until it knows another history.
    pub(super) async fn begins_anew_after(&self, epoch: &str) {
        let anew = async {
            while self.epoch() == epoch {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, anew).await.unwrap();
    }

    async fn decide(&self, token: &str) -> Result<(), Refusal> {
        let decided = async {
            loop {
                match self.state.check(token) {
                    Err(Refusal::Stale) => tokio::time::sleep(Duration::from_millis(10)).await,
                    decided => return decided.map(drop),
                }
            }
        };
        tokio::time::timeout(PATIENCE, decided).await.unwrap()
    }
}
