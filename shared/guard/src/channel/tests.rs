//! The channel against real servers on loopback ports.

mod scripted;

use std::{fs, net::TcpListener as StdListener, path::Path};

use http::{HeaderMap, HeaderValue};
use identity_proto::auth::v1::{
    ValidateTokenRequest, WatchRequest, access_feed_service_client::AccessFeedServiceClient,
    auth_service_client::AuthServiceClient,
};
use tokio::time::Instant;
use tonic::{
    Code, Request,
    transport::{Certificate, Identity, ServerTlsConfig},
};

use super::{breaker::OPEN_FOR, *};
use crate::{
    clock::{ManualClock, Timestamp},
    status::{ErrorReason, reason_of},
};
use scripted::{Answer, Script, serve, serve_at};

fn config(url: impl Into<String>) -> ChannelConfig {
    ChannelConfig {
        url: url.into(),
        ca_file: None,
        cert_file: None,
        key_file: None,
        expected_san: None,
        service_key_file: None,
        connect_timeout: Duration::from_secs(5),
        call_timeout: Duration::from_secs(20),
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_micros(0)))
}

fn channel(config: ChannelConfig) -> IdentityChannel {
    IdentityChannel::new(config, clock()).expect("channel")
}

async fn validate(channel: &IdentityChannel) -> Result<(), Status> {
    AuthServiceClient::new(channel.clone())
        .validate_token(ValidateTokenRequest::default())
        .await
        .map(drop)
}

fn unavailable(pushback: Option<&'static str>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(pushback) = pushback {
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static(pushback));
    }
    let metadata = tonic::metadata::MetadataMap::from_headers(headers);
    Answer::Status(Status::with_metadata(Code::Unavailable, "away", metadata))
}

#[tokio::test]
async fn unavailable_is_tried_again_and_nothing_else_is() {
    let script = Script::of([unavailable(None), unavailable(Some("1")), Answer::Empty]);
    let server = serve(script.clone(), None).await;
    let channel = channel(config(format!("http://{}", server.address)));
    validate(&channel).await.expect("third try");
    assert_eq!(script.seen().len(), 3);

    for code in [
        Code::Internal,
        Code::Unauthenticated,
        Code::ResourceExhausted,
        Code::Aborted,
    ] {
        let script = Script::of([Answer::Status(Status::new(code, ""))]);
        let server = serve(script.clone(), None).await;
        let channel = self::channel(config(format!("http://{}", server.address)));
        let status = validate(&channel).await.expect_err("refused");
        assert_eq!((status.code(), delivery(&status)), (code, None));
        assert_eq!(script.seen().len(), 1);
    }
}

#[tokio::test]
async fn tries_end_after_three_and_when_the_server_says_so() {
    let again = || unavailable(Some("0"));
    for (answers, seen) in [
        ([again(), again(), again(), again()], 3),
        ([again(), unavailable(Some("-1")), again(), again()], 2),
        // A wait beyond the deadline is not begun.
        ([unavailable(Some("3600000")), again(), again(), again()], 1),
    ] {
        let script = Script::of(answers);
        let server = serve(script.clone(), None).await;
        let channel = channel(config(format!("http://{}", server.address)));
        let status = validate(&channel).await.expect_err("away");
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "away")
        );
        assert_eq!(script.seen().len(), seen);
    }
}

#[tokio::test]
async fn a_stream_is_never_tried_again() {
    let script = Script::of([unavailable(None)]);
    let server = serve(script.clone(), None).await;
    let channel = channel(config(format!("http://{}", server.address)));
    let status = AccessFeedServiceClient::new(channel)
        .watch(tokio_stream::once(WatchRequest::default()))
        .await
        .expect_err("away");
    assert_eq!(status.code(), Code::Unavailable);
    let seen = script.seen();
    assert_eq!(seen.len(), 1);
    assert!(
        !seen[0].contains_key("grpc-timeout"),
        "a stream has no time of its own"
    );
}

#[tokio::test]
async fn a_call_ends_at_the_earliest_deadline() {
    let script = Script::of([Answer::Silence, Answer::Half, Answer::Silence]);
    let server = serve(script.clone(), None).await;
    let mut config = config(format!("http://{}", server.address));
    config.call_timeout = Duration::from_millis(500);
    let channel = channel(config);

    for _ in 0..2 {
        let status = validate(&channel).await.expect_err("too late");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason_of(&status), Some(ErrorReason::DeadlinePassed));
    }
    let soon = Instant::now() + Duration::from_millis(250);
    let status = deadline::scope(Some(soon), validate(&channel))
        .await
        .expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);

    let left: Vec<_> = script
        .seen()
        .iter()
        .map(|headers| metadata::timeout(headers).expect("grpc-timeout"))
        .collect();
    assert_eq!(left.len(), 3);
    assert!(left[0] <= Duration::from_millis(500) && left[1] <= Duration::from_millis(500));
    assert!(left[2] <= Duration::from_millis(250));
}

#[tokio::test]
async fn a_shorter_timeout_of_the_caller_counts() {
    let script = Script::of([Answer::Silence]);
    let server = serve(script.clone(), None).await;
    let channel = channel(config(format!("http://{}", server.address)));
    let mut request = Request::new(ValidateTokenRequest::default());
    request.set_timeout(Duration::from_millis(30));
    let status = AuthServiceClient::new(channel)
        .validate_token(request)
        .await
        .expect_err("too late");
    assert_eq!(reason_of(&status), Some(ErrorReason::DeadlinePassed));
}

#[tokio::test]
async fn the_breaker_opens_and_one_call_finds_the_server_again() {
    let free = StdListener::bind("127.0.0.1:0").expect("bind");
    let address = free.local_addr().expect("address");
    drop(free);
    let clock = clock();
    let channel =
        IdentityChannel::new(config(format!("http://{address}")), clock.clone()).expect("channel");
    for _ in 0..2 {
        let status = validate(&channel).await.expect_err("nobody there");
        assert_eq!(reason_of(&status), Some(ErrorReason::DependencyUnavailable));
        assert_eq!(delivery(&status), Some(Delivery::NeverSent));
    }
    let script = Script::default();
    let _server = serve_at(address, script.clone(), None).await;
    let status = validate(&channel).await.expect_err("still open");
    assert_eq!(delivery(&status), Some(Delivery::NeverSent));
    assert_eq!(script.seen().len(), 0);

    clock.advance(OPEN_FOR);
    validate(&channel).await.expect("found again");
}

#[tokio::test]
async fn a_lost_connection_is_of_unknown_outcome_and_not_tried_again() {
    let script = Script::of([Answer::Silence]);
    let server = serve(script.clone(), None).await;
    let channel = channel(config(format!("http://{}", server.address)));
    let arrived = async {
        while script.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        server.stop.cancel();
    };
    let (answer, ()) = tokio::join!(validate(&channel), arrived);
    let status = answer.expect_err("lost");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(delivery(&status), Some(Delivery::Unknown));
    assert_eq!(script.seen().len(), 1);
}

#[tokio::test]
async fn the_service_key_goes_along_and_follows_its_file() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("key");
    let keys = ["first-".repeat(8), "second-".repeat(8)];
    fs::write(&path, format!("{}\n", keys[0])).expect("write");

    let script = Script::default();
    let server = serve(script.clone(), None).await;
    let mut config = config(format!("http://{}", server.address));
    config.service_key_file = Some(path.clone());
    let clock = clock();
    let channel = IdentityChannel::new(config, clock.clone()).expect("channel");
    validate(&channel).await.expect("first");
    fs::write(&path, &keys[1]).expect("write");
    clock.advance(service_key::MAX_AGE);
    validate(&channel).await.expect("second");
    // An unusable file does not take the key away.
    fs::remove_file(&path).expect("remove");
    clock.advance(service_key::MAX_AGE);
    validate(&channel).await.expect("kept");

    let sent: Vec<_> = script
        .seen()
        .iter()
        .map(|h| h["x-service-key"].clone())
        .collect();
    assert_eq!(sent, [&keys[0], &keys[1], &keys[1]].map(String::as_str));
}

#[tokio::test]
async fn a_mistake_of_configuration_shows_at_once() {
    let error = |config| IdentityChannel::new(config, clock()).expect_err("refused");
    for url in [
        "http://10.0.0.1:50062",
        "http://auth:50062",
        "http://localhost.example:1",
    ] {
        assert!(
            matches!(error(config(url)), ChannelError::Plaintext { .. }),
            "{url}"
        );
    }
    for url in [
        "",
        "auth:50062",
        "ftp://localhost",
        "http://localhost/path",
        "http://",
    ] {
        assert!(
            matches!(error(config(url)), ChannelError::Url { .. }),
            "{url}"
        );
    }
    for url in [
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
        "http://127.9.9.9:1/",
    ] {
        IdentityChannel::new(config(url), clock()).expect("loopback");
    }
    assert!(matches!(
        error(config("https://auth:1")),
        ChannelError::MissingCa
    ));

    let folder = tempfile::tempdir().expect("folder");
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("write");
    let mut with = config("https://auth:1");
    with.ca_file = Some(empty.clone());
    assert!(matches!(error(with.clone()), ChannelError::File { .. }));
    with.cert_file = Some(empty.clone());
    assert!(matches!(error(with), ChannelError::LoneCertificate));
    let mut with = config("http://localhost:1");
    with.service_key_file = Some(empty);
    assert!(matches!(error(with), ChannelError::ServiceKey(_)));
}

/// A certificate authority and certificates of it, as files.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("certificate");
        Self {
            certificate,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("name");
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, name: &str) -> ServerTlsConfig {
        let (certificate, key) = self.issue(name);
        ServerTlsConfig::new()
            .identity(Identity::from_pem(certificate, key))
            .client_ca_root(Certificate::from_pem(self.certificate.pem()))
    }

    /// A client with a certificate of this authority, that trusts it.
    fn client(&self, url: String, folder: &Path) -> ChannelConfig {
        let (certificate, key) = self.issue("client.test");
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).expect("write");
            Some(path)
        };
        ChannelConfig {
            ca_file: write("ca.pem", &self.certificate.pem()),
            cert_file: write("cert.pem", &certificate),
            key_file: write("key.pem", &key),
            ..config(url)
        }
    }
}

#[tokio::test]
async fn tls_takes_the_expected_server_alone_and_rotated_files_at_the_next_connection() {
    let folder = tempfile::tempdir().expect("folder");
    let (ours, other) = (Authority::new(), Authority::new());
    let server = serve(Script::default(), Some(ours.server("auth.test"))).await;
    let url = format!("https://localhost:{}", server.address.port());

    let mut expected = ours.client(url.clone(), folder.path());
    expected.expected_san = Some("auth.test".to_owned());
    validate(&channel(expected.clone()))
        .await
        .expect("mutual TLS");

    let refused = |config: ChannelConfig| async {
        let status = validate(&channel(config)).await.expect_err("refused");
        assert_eq!(delivery(&status), Some(Delivery::NeverSent));
    };
    let mut wrong_name = expected.clone();
    wrong_name.expected_san = None;
    refused(wrong_name).await;

    // Files of another authority: made with them, then rotated to ours.
    other.client(url.clone(), folder.path());
    let channel = channel(expected.clone());
    let status = validate(&channel).await.expect_err("not trusted");
    assert_eq!(delivery(&status), Some(Delivery::NeverSent));
    ours.client(url, folder.path());
    validate(&channel).await.expect("read again");
}
