//! Telemetry on its way out: one trace through both services, under its caller's, and figures of both.

mod collector;

use std::{collections::BTreeSet, time::Duration};

use identity_dev::service::Service;
use identity_proto::auth::v1::{LoginRequest, auth_service_client::AuthServiceClient};
use tokio::time::{Instant, sleep};
use tonic::Request;

use crate::harness::{Store, World};
use collector::{Collector, Span};

/// Who calls: the trace and the span of a client that traces its own work.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// How long spans and figures may take on their way.
const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_one_trace_through_both_services_and_both_send_figures() {
    let collector = Collector::start().await;
    let mut world = World::prepared(Store::Sqlite).await;
    for service in Service::BOTH {
        world.replica(service).launch.environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    }
    world.start().await;
    let person = world.person("ada").await;

    let mut request = Request::new(LoginRequest {
        identifier: person.username.clone(),
        password: person.password.clone(),
        ..LoginRequest::default()
    });
    let context = format!("00-{TRACE}-{CALLER}-01");
    request
        .metadata_mut()
        .insert("traceparent", context.parse().unwrap());
    let mut auth = AuthServiceClient::new(world.api.auth.clone());
    auth.login(request).await.unwrap();

    let (login, lookup) = eventually(&collector, |spans| {
        let login = spans
            .iter()
            .find(|span| span.service == "auth-service" && span.parent == CALLER)?;
        let lookup = spans
            .iter()
            .find(|span| span.service == "user-service" && descends(span, login, spans))?;
        Some((login.clone(), lookup.clone()))
    })
    .await;
    assert!(login.name.ends_with("AuthService/Login"), "{login:?}");
    assert!(lookup.name.contains("CredentialService/"), "{lookup:?}");

    let both = BTreeSet::from(Service::BOTH.map(|service| service.name().to_owned()));
    let deadline = Instant::now() + LIMIT;
    while collector.measured() != both {
        assert!(Instant::now() < deadline, "{:?}", collector.measured());
        sleep(Duration::from_millis(20)).await;
    }
    world.dispose().await;
}

/// Whether the one span comes from the other, through whatever lies between.
fn descends(span: &Span, ancestor: &Span, spans: &[Span]) -> bool {
    span.parent == ancestor.id
        || spans
            .iter()
            .find(|other| other.id == span.parent)
            .is_some_and(|parent| descends(parent, ancestor, spans))
}

/// What is to be found among the spans of the trace, once it has come.
async fn eventually<T>(collector: &Collector, find: impl Fn(&[Span]) -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        let spans = collector.spans_of(TRACE);
        if let Some(found) = find(&spans) {
            return found;
        }
        assert!(Instant::now() < deadline, "{spans:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
