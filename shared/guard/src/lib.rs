//! What a backend adds to its own tonic server: verify access tokens locally, follow the live access feed, and
//! enforce the rules that the contract carries.
//!
//! A backend needs four things: a channel to auth-service, the state that knows keys and revocations, a follower that
//! keeps the state fresh, and the layer that decides with it.
//!
//! ```no_run
//! use std::{error::Error, sync::Arc, time::Duration};
//!
//! use identity_guard::{
//!     AccessState, ChannelConfig, FollowConfig, Follower, Guard, GuardConfig, GuardLayer, IdentityChannel,
//!     RemoteRights, Rules, ServiceIdentities, SharedClock, SystemClock, VerifierConfig,
//!     layer::RemoteFallback,
//! };
//! use tokio_util::sync::CancellationToken;
//!
//! async fn guard(descriptor_set: &[u8]) -> Result<GuardLayer, Box<dyn Error>> {
//!     let clock: SharedClock = Arc::new(SystemClock);
//!     let max_staleness = Duration::from_secs(5);
//!     let channel = IdentityChannel::new(
//!         ChannelConfig {
//!             url: "https://auth.internal:50062".to_owned(),
//!             ca_file: Some("/run/tls/ca.pem".into()),
//!             cert_file: Some("/run/tls/tls.crt".into()),
//!             key_file: Some("/run/tls/tls.key".into()),
//!             expected_san: None,
//!             service_key_file: None,
//!             connect_timeout: Duration::from_secs(2),
//!             call_timeout: Duration::from_secs(2),
//!         },
//!         clock.clone(),
//!     )?;
//!     let verifier = VerifierConfig::new("https://id.example.org", "reports");
//!     let state = Arc::new(AccessState::new(verifier, clock.clone(), max_staleness));
//!     let follow = FollowConfig { watcher_name: "reports".to_owned() };
//!     drop(Follower::spawn(channel.clone(), state.clone(), clock, follow, CancellationToken::new())?);
//!
//!     let rules = Rules::from_descriptor_set(descriptor_set)?;
//!     rules.require(&["example.reports.v1.ReportService"])?;
//!     Ok(GuardLayer::new(Arc::new(Guard::new(GuardConfig {
//!         rules: Arc::new(rules),
//!         fallback: Some(Arc::new(RemoteFallback::new(channel.clone(), state.clone()))),
//!         state,
//!         rights: Arc::new(RemoteRights::new(channel)),
//!         services: ServiceIdentities::default(),
//!         exempt: vec!["/grpc.health.v1.Health/".to_owned()],
//!     }))))
//! }
//! # async fn serve(guard: GuardLayer, routes: tonic::service::Routes) -> Result<(), tonic::transport::Error> {
//! #     let server = tonic::transport::Server::builder().layer(guard).add_routes(routes);
//! #     server.serve(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).await
//! # }
//! ```
//!
//! `tonic::transport::Server::builder().layer(guard)` puts it in front of every service; a handler reads who calls
//! with [`caller::caller`]. The crate in `examples/backend` is a whole server that does this.

mod buffered;
pub mod caller;
pub mod channel;
pub mod clock;
pub mod deadline;
pub mod engine;
pub mod follow;
pub mod layer;
pub mod position;
pub mod rights;
pub mod rules;
pub mod services;
pub mod status;
mod validate;

pub use caller::{Caller, ServiceCaller, UserCaller, caller};
pub use channel::{ChannelConfig, IdentityChannel};
pub use clock::{Clock, ManualClock, SharedClock, SystemClock, Timestamp};
pub use engine::{AccessState, VerifierConfig};
pub use follow::{FollowConfig, FollowError, Follower};
pub use layer::{Guard, GuardConfig, GuardLayer, TokenFallback};
pub use position::Position;
pub use rights::{RemoteRights, Rights, RightsSource};
pub use rules::{Rule, Rules};
pub use services::{PeerInfo, ServiceIdentities};
pub use status::{ErrorReason, Failure};
