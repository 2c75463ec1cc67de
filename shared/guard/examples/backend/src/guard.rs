//! The guard of this server: everything that identity costs a backend.

use std::{error::Error, sync::Arc, time::Duration};

use identity_guard::{
    AccessState, ChannelConfig, FollowConfig, Follower, Guard, GuardConfig, GuardLayer,
    IdentityChannel, RemoteRights, Rules, ServiceIdentities, SharedClock, VerifierConfig,
    layer::RemoteFallback,
};
use tokio_util::sync::CancellationToken;

use crate::{args::Args, contract};

/// How old our knowledge of revocations may be before we ask auth-service about each token.
const MAX_STALENESS: Duration = Duration::from_secs(5);

/// A layer that lets through what the contract's rules allow. It follows auth-service until told to stop.
pub(crate) fn layer(
    args: &Args,
    clock: &SharedClock,
    stop: &CancellationToken,
) -> Result<GuardLayer, Box<dyn Error>> {
    // 1. A channel to auth-service: one connection for everything.
    let channel = IdentityChannel::new(
        ChannelConfig {
            url: args.auth_url.clone(),
            ca_file: args.ca_file.clone(),
            cert_file: args.cert_file.clone(),
            key_file: args.key_file.clone(),
            expected_san: None,
            service_key_file: args.service_key_file.clone(),
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(2),
        },
        clock.clone(),
    )?;

    // 2. What is known of keys and revocations, kept fresh by the access feed.
    let verifier = VerifierConfig::new(&args.issuer, &args.audience);
    let state = Arc::new(AccessState::new(verifier, clock.clone(), MAX_STALENESS));
    drop(Follower::spawn(
        channel.clone(),
        state.clone(),
        clock.clone(),
        FollowConfig {
            watcher_name: "notes".to_owned(),
        },
        stop.clone(),
    )?);

    // 3. The rules of our own contract. An RPC without one stops us here.
    let rules = Rules::from_descriptor_set(contract::DESCRIPTOR_SET)?;
    rules.require(&["notes.v1.NotesService"])?;

    // 4. The layer that decides with all of them, before a request is decoded.
    Ok(GuardLayer::new(Arc::new(Guard::new(GuardConfig {
        rules: Arc::new(rules),
        fallback: Some(Arc::new(RemoteFallback::new(
            channel.clone(),
            state.clone(),
        ))),
        rights: Arc::new(RemoteRights::new(channel)),
        state,
        services: ServiceIdentities::default(),
        exempt: Vec::new(),
    }))))
}
