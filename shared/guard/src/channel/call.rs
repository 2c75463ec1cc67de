//! One call through the channel: its deadline, its tries, and what their failures mean.

use std::{sync::Arc, time::Duration};

use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status, body::Body, transport::Channel};
use tower::{Service, ServiceExt};

use super::{
    Shared,
    delivery::{Delivery, Lost, classify, mark},
    metadata, methods,
    retry::{MAX_TRIES, Pushback, backoff, chance, pushback},
    timed::Timed,
};
use crate::{
    buffered::Buffered,
    services::SERVICE_KEY_HEADER,
    status::{ErrorReason, Failure},
};

/// The largest request that is kept for another try, in bytes.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// When the caller of a service that is away may come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Sends a call, several times where that is allowed.
pub(super) async fn send(
    shared: Arc<Shared>,
    transport: Channel,
    request: Request<Body>,
    carried: Option<Instant>,
) -> Result<Response<Body>, Status> {
    let (mut parts, body) = request.into_parts();
    metadata::inject_trace(&mut parts.headers);
    let asked = metadata::timeout(&parts.headers).map(|left| Instant::now() + left);
    let earliest = asked.into_iter().chain(carried).min();

    if !methods::is_unary(parts.uri.path()) {
        return attempt(&shared, transport, parts, body, earliest)
            .await
            .answer;
    }
    let own = Instant::now() + shared.call_timeout;
    let deadline = earliest.map_or(own, |earliest| earliest.min(own));
    let answer = match Buffered::new(body).whole(MAX_KEPT_BYTES).await {
        Ok(message) => {
            let body = || Body::new(Full::new(message.clone()));
            try_until(&shared, &transport, &parts, body, deadline).await
        }
        Err(long) => {
            let body = Body::new(long);
            attempt(&shared, transport, parts, body, Some(deadline))
                .await
                .answer
        }
    };
    answer.map(|response| response.map(|body| Body::new(Timed::new(body, deadline))))
}

/// Tries until there is an answer that stands, or neither tries nor time are left.
async fn try_until(
    shared: &Shared,
    transport: &Channel,
    parts: &Parts,
    body: impl Fn() -> Body,
    deadline: Instant,
) -> Result<Response<Body>, Status> {
    let mut tries = 1;
    loop {
        let done = attempt(
            shared,
            transport.clone(),
            parts.clone(),
            body(),
            Some(deadline),
        )
        .await;
        let wait = match done.again {
            Pushback::Never => return done.answer,
            Pushback::After(wait) => wait,
            Pushback::None => backoff(tries, chance()),
        };
        if tries == MAX_TRIES || Instant::now() + wait >= deadline {
            return done.answer;
        }
        sleep(wait).await;
        tries += 1;
    }
}

/// What one try came to.
struct Attempt {
    answer: Result<Response<Body>, Status>,
    /// Whether and when another try is allowed.
    again: Pushback,
}

impl Attempt {
    fn last(answer: Result<Response<Body>, Status>) -> Self {
        Self {
            answer,
            again: Pushback::Never,
        }
    }
}

async fn attempt(
    shared: &Shared,
    mut transport: Channel,
    mut parts: Parts,
    body: Body,
    deadline: Option<Instant>,
) -> Attempt {
    let Some(permit) = shared.breaker.admit() else {
        return Attempt::last(Err(mark(unavailable(), Delivery::NeverSent)));
    };
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        parts
            .headers
            .insert(metadata::TIMEOUT, metadata::timeout_value(left));
    }
    if let Some(key) = &shared.service_key {
        parts
            .headers
            .insert(SERVICE_KEY_HEADER, key.current().await);
    }
    let exchange = async {
        let transport = transport.ready().await?;
        transport.call(Request::from_parts(parts, body)).await
    };
    let exchanged = match deadline {
        Some(deadline) => timeout_at(deadline, exchange).await,
        None => Ok(exchange.await),
    };
    match exchanged {
        Err(_) => Attempt::last(Err(deadline_passed())),
        Ok(Ok(response)) => {
            permit.reached();
            Attempt {
                again: after_answer(&response),
                answer: Ok(response),
            }
        }
        Ok(Err(error)) => match classify(&error) {
            Lost::Deadline => Attempt::last(Err(deadline_passed())),
            Lost::Connection(delivery) => {
                permit.failed();
                tracing::debug!(error = ?error, %delivery, "call to another service failed");
                Attempt {
                    answer: Err(mark(unavailable(), delivery)),
                    // A call that may have happened is its maker's to repeat.
                    again: match delivery {
                        Delivery::NeverSent => Pushback::None,
                        Delivery::Unknown => Pushback::Never,
                    },
                }
            }
        },
    }
}

/// Whether a server's answer allows another try: only UNAVAILABLE without any message does, from the server or from
/// a proxy that speaks no gRPC.
fn after_answer(response: &Response<Body>) -> Pushback {
    let unavailable = match response.headers().get("grpc-status") {
        Some(code) => Code::from_bytes(code.as_bytes()) == Code::Unavailable,
        None => matches!(
            response.status(),
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        ),
    };
    if unavailable {
        pushback(response.headers())
    } else {
        Pushback::Never
    }
}

fn unavailable() -> Status {
    Failure::unavailable("the other service", RETRY_AFTER).into()
}

pub(super) fn deadline_passed() -> Status {
    Failure::new(ErrorReason::DeadlinePassed, "the call's deadline passed").into()
}
