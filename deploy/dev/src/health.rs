//! Waiting until a service says that it serves.

use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::problem::Problem;

/// How often a service that is not ready is asked again.
const POLL: Duration = Duration::from_millis(20);

/// How long a call may take: long enough for a loaded machine, short enough to be noticed.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// A channel to a plaintext listener on this machine; it connects when it is first used.
///
/// # Errors
///
/// When the address is no URL, which no socket address is.
pub fn channel(address: SocketAddr) -> Result<Channel, Problem> {
    Ok(Channel::from_shared(format!("http://{address}"))
        .map_err(|error| Problem::new(format!("{address} is no address: {error}")))?
        .connect_timeout(CALL_LIMIT)
        .timeout(CALL_LIMIT)
        .connect_lazy())
}

/// Whether the gRPC service of this name serves now.
pub async fn is_serving(channel: &Channel, name: &str) -> bool {
    let request = HealthCheckRequest {
        service: name.to_owned(),
    };
    HealthClient::new(channel.clone())
        .check(request)
        .await
        .is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

/// Waits until the gRPC service of this name serves.
///
/// # Errors
///
/// When it does not within the time.
pub async fn wait_until_serving(
    channel: &Channel,
    name: &str,
    limit: Duration,
) -> Result<(), Problem> {
    let deadline = Instant::now() + limit;
    while !is_serving(channel, name).await {
        if Instant::now() >= deadline {
            return Err(Problem::new(format!(
                "{name} does not serve after {} seconds",
                limit.as_secs()
            )));
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Whether a process answers health at all, whatever it says.
pub async fn answers(channel: &Channel) -> bool {
    let request = HealthCheckRequest::default();
    HealthClient::new(channel.clone())
        .check(request)
        .await
        .is_ok()
}
