//! Every kind of rule with every kind of credential.

use std::{convert::Infallible, sync::Mutex, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use prost::Message;
use tower::ServiceExt;

use super::*;
use crate::{
    clock::ManualClock,
    engine::{
        AccessChange, AccessClaims, KeyChange, SessionRevocation, Snapshot, Source,
        testing::{Issuer, claims, config, now},
    },
    position::Position,
    services::SERVICE_KEY_HEADER,
    status::{reason_name, reason_of},
};

mod witness;

const PUBLIC: &str = "/identity.auth.v1.AuthService/Login";
const AUTHENTICATED: &str = "/identity.auth.v1.AuthService/Logout";
const PERMISSION: &str = "/identity.user.v1.UserService/CreateUser";
const SELF: &str = "/identity.user.v1.UserService/GetUser";
const SERVICE: &str = "/identity.user.v1.CredentialService/GetCredential";

const MAX_STALENESS: Duration = Duration::from_secs(5);
const CREDENTIALS_KEY: &str = "credentials-credentials-credentials-";
const FEED_KEY: &str = "access-feed-access-feed-access-feed-";

/// The user `u1` holds nothing, `holder` holds what the rules ask for, everybody else is not active.
struct Users;

#[tonic::async_trait]
impl RightsSource for Users {
    async fn rights(&self, token: &VerifiedToken, text: &str) -> Result<Arc<Rights>, Failure> {
        assert!(!text.is_empty());
        let permissions: &[&str] = match token.claims().sub.as_str() {
            "u1" => &["other"],
            "holder" => &["users.create", "users.read"],
            "unreadable" => return Err(Failure::unavailable("the database", Duration::ZERO)),
            _ => return Ok(Arc::default()),
        };
        Ok(Arc::new(Rights {
            active: true,
            permissions: permissions.iter().map(ToString::to_string).collect(),
        }))
    }
}

/// Answers what it is told to.
struct Told(Mutex<Option<Result<Arc<VerifiedToken>, Failure>>>);

#[tonic::async_trait]
impl TokenFallback for Told {
    async fn validate(&self, _token: &str) -> Result<Arc<VerifiedToken>, Failure> {
        self.0.lock().expect("lock").take().expect("asked once")
    }
}

struct Bench {
    issuer: Issuer,
    clock: Arc<ManualClock>,
    state: Arc<AccessState>,
    config: GuardConfig,
}

impl Bench {
    fn new() -> Self {
        let issuer = Issuer::es256("k1");
        let clock = Arc::new(ManualClock::new(now()));
        let state = Arc::new(AccessState::new(config(), clock.clone(), MAX_STALENESS));
        state.apply_snapshot(Snapshot {
            keys: vec![KeyChange::Valid(Arc::new(issuer.key()))],
            position: Position::new("e", 1),
            ..Snapshot::default()
        });
        state.apply_change(AccessChange::Session(SessionRevocation {
            session_id: "ended".to_owned(),
            retain_until: now().plus(Duration::from_mins(10)),
        }));
        state.observe_source(Source::Auth, Position::new("e", 1), Duration::ZERO);
        let config = GuardConfig {
            rules: Arc::new(
                Rules::from_descriptor_set(identity_proto::DESCRIPTOR_SET).expect("rules"),
            ),
            state: state.clone(),
            fallback: None,
            rights: Arc::new(Users),
            services: services(),
            exempt: vec!["/grpc.health.v1.Health/".to_owned(), "/".to_owned()],
        };
        Self {
            issuer,
            clock,
            state,
            config,
        }
    }

    fn bearer(&self, claims: &AccessClaims) -> Credential {
        Credential::header(
            "authorization",
            &format!("Bearer {}", self.issuer.token(claims)),
        )
    }

    fn user(&self, sub: &str) -> Credential {
        self.bearer(&AccessClaims {
            sub: sub.to_owned(),
            ..claims()
        })
    }

    /// The caller that the handler sees, or the reason of the refusal.
    async fn call(self, path: &str, credential: Credential) -> Result<Caller, String> {
        call(
            &Arc::new(Guard::new(self.config)),
            path,
            credential,
            &user_request("u1"),
        )
        .await
    }
}

/// Identities with keys from files and with a certificate.
fn services() -> ServiceIdentities {
    let folder = tempfile::tempdir().expect("folder");
    let file = |name: &str, key: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, key).expect("write");
        path.display().to_string()
    };
    ServiceIdentities::parse([
        format!(
            "auth-service;scopes=credentials;key-file={};san=spiffe://test/auth",
            file("a", CREDENTIALS_KEY)
        ),
        format!(
            "guard;scopes=access_feed;key-file={};san=spiffe://test/guard",
            file("b", FEED_KEY)
        ),
    ])
    .expect("identities")
}

/// What a call carries.
#[derive(Default)]
struct Credential {
    headers: HeaderMap,
    sans: Vec<String>,
}

impl Credential {
    fn none() -> Self {
        Self::default()
    }

    fn header(name: &'static str, value: &str) -> Self {
        let mut credential = Self::none();
        credential
            .headers
            .insert(name, HeaderValue::from_str(value).expect("header"));
        credential
    }

    fn certificate(san: &str) -> Self {
        Self {
            sans: vec![san.to_owned()],
            ..Self::none()
        }
    }
}

fn user_request(user_id: &str) -> Vec<u8> {
    let request = identity_proto::user::v1::GetUserRequest {
        user_id: user_id.to_owned(),
        ..Default::default()
    };
    framed(&request.encode_to_vec())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

async fn call(
    guard: &Arc<Guard>,
    path: &str,
    credential: Credential,
    body: &[u8],
) -> Result<Caller, String> {
    let expected = Bytes::copy_from_slice(body);
    let handler = tower::service_fn(move |request: Request<Body>| {
        let expected = expected.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            let body = http_body_util::BodyExt::collect(body).await.expect("body");
            assert_eq!(body.to_bytes(), expected, "the handler gets the whole body");
            let caller: Caller = parts.extensions.remove().expect("the guard says who calls");
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(caller);
            Ok::<_, Infallible>(response)
        }
    });
    let mut request = Request::post(path)
        .extension(PeerInfo {
            address: None,
            sans: credential.sans.into(),
        })
        .body(Full::new(Bytes::copy_from_slice(body)))
        .expect("request");
    *request.headers_mut() = credential.headers;
    let mut response = GuardLayer::new(Arc::clone(guard))
        .layer(handler)
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    if let Some(caller) = response.extensions_mut().remove::<Caller>() {
        return Ok(caller);
    }
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let status = Status::from_header_map(response.headers()).expect("a status without a body");
    Err(reason_name(reason_of(&status).expect("a reason")).to_owned())
}

/// Who got through, in a word.
fn word(caller: Result<Caller, String>) -> String {
    match caller {
        Ok(Caller::Anonymous) => "anonymous".to_owned(),
        Ok(Caller::User(user)) if user.is_self => format!("{} as self", user.user_id),
        Ok(Caller::User(user)) => user.user_id,
        Ok(Caller::Service(service)) => service.name,
        Err(reason) => reason,
    }
}

/// A credential's name, how to get one, and what it comes to under the rules [`AUTHENTICATED`], [`PERMISSION`],
/// [`SELF`] of `u1`, and [`SERVICE`]. Under [`PUBLIC`] all are one.
type Row = (&'static str, fn(&Bench) -> Credential, [&'static str; 4]);

const NOBODY: &str = "SERVICE_IDENTITY_REQUIRED";
const UNREADABLE: &str = "DEPENDENCY_UNAVAILABLE";

/// The same under each rule that wants a token.
const fn each(token: &'static str, service: &'static str) -> [&'static str; 4] {
    [token, token, token, service]
}

fn key(key: &str) -> Credential {
    Credential::header(SERVICE_KEY_HEADER, key)
}

fn table() -> Vec<Row> {
    vec![
        (
            "no token",
            |_| Credential::none(),
            each("TOKEN_MISSING", NOBODY),
        ),
        (
            "garbage",
            |_| Credential::header("authorization", "Bearer garbage"),
            each("TOKEN_INVALID", NOBODY),
        ),
        (
            "expired",
            |bench| {
                let (exp, iat) = (claims().iat - 60, claims().iat - 660);
                bench.bearer(&AccessClaims {
                    exp,
                    iat,
                    ..claims()
                })
            },
            each("TOKEN_EXPIRED", NOBODY),
        ),
        (
            "revoked",
            |bench| {
                let sid = "ended".to_owned();
                bench.bearer(&AccessClaims { sid, ..claims() })
            },
            each("TOKEN_REVOKED", NOBODY),
        ),
        (
            "ordinary user, named by the request",
            |bench| bench.user("u1"),
            ["u1", "PERMISSION_REQUIRED", "u1 as self", NOBODY],
        ),
        (
            "holder",
            |bench| bench.user("holder"),
            each("holder", NOBODY),
        ),
        (
            "user who may not be active",
            |bench| bench.user("suspended"),
            ["suspended", "TOKEN_REVOKED", "TOKEN_REVOKED", NOBODY],
        ),
        (
            "user whose rights cannot be read",
            |bench| bench.user("unreadable"),
            ["unreadable", UNREADABLE, UNREADABLE, NOBODY],
        ),
        (
            "service key",
            |_| key(CREDENTIALS_KEY),
            each("TOKEN_MISSING", "auth-service"),
        ),
        (
            "service key of another scope",
            |_| key(FEED_KEY),
            each("TOKEN_MISSING", "SCOPE_REQUIRED"),
        ),
        (
            "unknown service key",
            |_| key("credentials-credentials-credentials+"),
            each("TOKEN_MISSING", NOBODY),
        ),
        (
            "certificate",
            |_| Credential::certificate("spiffe://test/auth"),
            each("TOKEN_MISSING", "auth-service"),
        ),
        (
            "certificate of another scope",
            |_| Credential::certificate("spiffe://test/guard"),
            each("TOKEN_MISSING", "SCOPE_REQUIRED"),
        ),
        (
            "forwarded certificate",
            |_| Credential::header("x-forwarded-client-cert", "URI=spiffe://test/auth"),
            each("TOKEN_MISSING", NOBODY),
        ),
    ]
}

#[tokio::test]
async fn every_rule_with_every_credential() {
    for (name, present, expected) in table() {
        let rules = [AUTHENTICATED, PERMISSION, SELF, SERVICE];
        let cells = rules
            .into_iter()
            .zip(expected)
            .chain([(PUBLIC, "anonymous")]);
        for (path, expected) in cells {
            let bench = Bench::new();
            let credential = present(&bench);
            assert_eq!(
                word(bench.call(path, credential).await),
                expected,
                "{path}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn an_exempt_prefix_never_opens_a_method_with_a_rule() {
    let bench = Bench::new();
    let health = bench
        .call("/grpc.health.v1.Health/Check", Credential::none())
        .await;
    assert_eq!(word(health), "anonymous");
    // The prefix "/" is exempt, too, on this bench.
    let refused = Bench::new().call(AUTHENTICATED, Credential::none()).await;
    assert_eq!(word(refused), "TOKEN_MISSING");
}

#[tokio::test]
async fn a_method_without_a_rule_is_none() {
    for path in [
        "/example.Service/Method",
        "/",
        "/identity.user.v1.UserService/GetUser/",
        "//",
    ] {
        let mut bench = Bench::new();
        bench.config.exempt.clear();
        let holder = bench.user("holder");
        assert_eq!(
            word(bench.call(path, holder).await),
            "METHOD_NOT_FOUND",
            "{path}"
        );
    }
}

#[tokio::test]
async fn another_users_id_is_not_found_however_it_is_put() {
    let own = b"\x0a\x02u1".as_slice();
    let other = b"\x0a\x02u2".as_slice();
    for (message, expected) in [
        (own.to_vec(), "u1 as self"),
        ([other, own].concat(), "u1 as self"),
        ([own, other].concat(), "NOT_FOUND"),
        (other.to_vec(), "NOT_FOUND"),
        (Vec::new(), "NOT_FOUND"),
        ([own, b"\x0a\x00"].concat(), "NOT_FOUND"),
        ([own, b"\xff"].concat(), "NOT_FOUND"),
    ] {
        let bench = Bench::new();
        let credential = bench.user("u1");
        let guard = Arc::new(Guard::new(bench.config));
        let caller = call(&guard, SELF, credential, &framed(&message)).await;
        assert_eq!(word(caller), expected, "{message:02x?}");
    }
}

#[tokio::test]
async fn rights_go_with_the_caller_where_the_rule_read_them() {
    let bench = Bench::new();
    let holder = bench.user("holder");
    let Ok(Caller::User(user)) = bench.call(PERMISSION, holder).await else {
        panic!("the holder may");
    };
    assert!(user.holds("users.create") && !user.holds("users.delete"));
    let bench = Bench::new();
    let holder = bench.user("holder");
    let Ok(Caller::User(user)) = bench.call(AUTHENTICATED, holder).await else {
        panic!("the holder may");
    };
    assert!(user.rights.is_none() && !user.holds("users.create"));
}

#[tokio::test]
async fn a_stale_state_asks_who_knows_and_refuses_where_nobody_does() {
    let stale = || {
        let bench = Bench::new();
        bench
            .clock
            .advance(MAX_STALENESS + Duration::from_millis(1));
        bench
    };
    let bench = stale();
    let user = bench.user("u1");
    assert_eq!(
        word(bench.call(AUTHENTICATED, user).await),
        "DEPENDENCY_UNAVAILABLE"
    );

    let answers: [(Result<(), ErrorReason>, &str); 3] = [
        (Ok(()), "u1"),
        (Err(ErrorReason::TokenRevoked), "TOKEN_REVOKED"),
        (
            Err(ErrorReason::DependencyUnavailable),
            "DEPENDENCY_UNAVAILABLE",
        ),
    ];
    for (answer, expected) in answers {
        let mut bench = stale();
        let answer = answer
            .map(|()| Arc::new(bench.issuer.verified(&claims())))
            .map_err(|reason| Failure::new(reason, ""));
        bench.config.fallback = Some(Arc::new(Told(Mutex::new(Some(answer)))));
        let user = bench.user("u1");
        assert_eq!(word(bench.call(AUTHENTICATED, user).await), expected);
    }

    // What is known to be ended stays refused, whoever could be asked.
    let mut bench = stale();
    bench.config.fallback = Some(Arc::new(Told(Mutex::new(None))));
    let revoked = bench.bearer(&AccessClaims {
        sid: "ended".to_owned(),
        ..claims()
    });
    assert_eq!(
        word(bench.call(AUTHENTICATED, revoked).await),
        "TOKEN_REVOKED"
    );
}

#[tokio::test]
async fn a_refusal_for_want_of_knowledge_says_when_to_come_back() {
    let bench = Bench::new();
    bench.state.mark_stale();
    let credential = bench.user("u1");
    let layer = GuardLayer::new(Arc::new(Guard::new(bench.config)));
    let service = layer.layer(tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let mut request = Request::post(AUTHENTICATED)
        .body(Body::empty())
        .expect("request");
    *request.headers_mut() = credential.headers;
    let response = service
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    let status = Status::from_header_map(response.headers()).expect("status");
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(
        details
            .retry_info()
            .and_then(|info| info.retry_delay)
            .is_some()
    );
}
