//! Who calls in the journey and on which listener, and which RPCs have succeeded.

use std::{
    borrow::Borrow,
    cell::RefCell,
    collections::BTreeSet,
    fmt::Debug,
    fs,
    io::Write as _,
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use identity_dev::{administrator::random_password, service::Service};
use identity_proto::DESCRIPTOR_SET;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::harness::{
    World,
    grpcurl::{Grpcurl, Refusal},
};

/// The package that the journey goes through.
pub(super) const PACKAGE: &str = "identity.user.v1";

const LOGIN: &str = "identity.auth.v1.AuthService/Login";
const CONTINUE_LOGIN: &str = "identity.auth.v1.AuthService/ContinueLogin";

/// The three listeners, and those who call.
pub(super) struct Story {
    users: Grpcurl,
    internal: Grpcurl,
    auth: Grpcurl,
    /// The administrator's access token.
    pub(super) admin: String,
    /// What auth-service shows on the internal listener.
    service_key: String,
    /// The contract as a file, since internal services are not reflected.
    protoset: NamedTempFile,
    /// The RPCs that have succeeded, as `Service/Method`.
    pub(super) told: RefCell<BTreeSet<String>>,
    /// Those that have been refused.
    pub(super) denied: RefCell<BTreeSet<String>>,
}

/// Somebody with a live token.
pub(super) struct Person {
    pub(super) id: String,
    pub(super) password: String,
    pub(super) token: String,
}

impl Story {
    pub(super) fn of(world: &World, program: PathBuf) -> Self {
        let users = Grpcurl {
            program,
            target: world.user.launch.endpoints.public,
        };
        let mut protoset = NamedTempFile::new().unwrap();
        protoset.write_all(DESCRIPTOR_SET).unwrap();
        let key = fs::read_to_string(world.material.service_key(Service::Auth)).unwrap();
        Self {
            internal: Grpcurl {
                target: world.user.launch.endpoints.internal,
                ..users.clone()
            },
            auth: Grpcurl {
                target: world.auth.launch.endpoints.public,
                ..users.clone()
            },
            users,
            admin: world.admin.clone(),
            service_key: format!("x-service-key: {}", key.trim()),
            protoset,
            told: RefCell::default(),
            denied: RefCell::default(),
        }
    }

    /// The administrator calls, and succeeds.
    #[track_caller]
    pub(super) fn admin(&self, rpc: &str, message: impl Borrow<Value>) -> Value {
        self.by(Some(&self.admin), rpc, message)
    }

    /// Whoever has this token calls, and succeeds.
    #[track_caller]
    pub(super) fn by(&self, token: Option<&str>, rpc: &str, message: impl Borrow<Value>) -> Value {
        let answer = self.users.call(&full(rpc), message.borrow(), token);
        self.succeeded(rpc, answer)
    }

    /// A public call of any number of messages and answers by the administrator, that succeeds.
    #[track_caller]
    pub(super) fn stream(&self, rpc: &str, messages: &[Value]) -> Vec<Value> {
        let admin = Some(self.admin.as_str());
        let answers = self.users.call_stream(&full(rpc), messages, admin);
        self.succeeded(rpc, answers)
    }

    /// The same that is refused.
    #[track_caller]
    pub(super) fn stream_refused(&self, rpc: &str, messages: &[Value], reason: &str) {
        let admin = Some(self.admin.as_str());
        let answers = self.users.call_stream(&full(rpc), messages, admin);
        self.refused_with(rpc, answers, reason);
    }

    /// auth-service calls on the internal listener, and succeeds.
    #[track_caller]
    pub(super) fn service(&self, rpc: &str, message: impl Borrow<Value>) -> Value {
        let answers = self.internal.call_with(
            &full(rpc),
            std::slice::from_ref(message.borrow()),
            &self.inside(),
        );
        let [answer] = <[Value; 1]>::try_from(self.succeeded(rpc, answers)).unwrap();
        answer
    }

    /// auth-service calls on the internal listener, and is refused.
    #[track_caller]
    pub(super) fn service_refused(&self, rpc: &str, message: impl Borrow<Value>, reason: &str) {
        let answers = self.internal.call_with(
            &full(rpc),
            std::slice::from_ref(message.borrow()),
            &self.inside(),
        );
        self.refused_with(rpc, answers, reason);
    }

    /// Somebody without a key calls on the internal listener, and is refused.
    #[track_caller]
    pub(super) fn stranger_refused(&self, rpc: &str, message: impl Borrow<Value>) {
        let flags = ["-protoset", self.protoset.path().to_str().unwrap()];
        let answers =
            self.internal
                .call_with(&full(rpc), std::slice::from_ref(message.borrow()), &flags);
        self.refused_with(rpc, answers, "SERVICE_IDENTITY_REQUIRED");
    }

    /// auth-service listens on the internal listener for as long as it has something to say.
    pub(super) fn listen(
        &self,
        rpc: &str,
        first: &Value,
        reply: impl FnMut(&Value) -> ControlFlow<(), Vec<Value>>,
    ) -> Vec<Value> {
        let answers = self
            .internal
            .converse(&full(rpc), &self.inside(), first, reply);
        self.succeeded(rpc, Ok(answers))
    }

    /// Whoever has this token calls, and is refused for this reason.
    #[track_caller]
    pub(super) fn refused(
        &self,
        token: Option<&str>,
        rpc: &str,
        message: impl Borrow<Value>,
        reason: &str,
    ) {
        self.refused_with(
            rpc,
            self.users.call(&full(rpc), message.borrow(), token),
            reason,
        );
    }

    /// The administrator calls, and is refused for this reason.
    #[track_caller]
    pub(super) fn admin_refused(&self, rpc: &str, message: impl Borrow<Value>, reason: &str) {
        self.refused(Some(&self.admin), rpc, message, reason);
    }

    /// The access token of a login.
    #[track_caller]
    pub(super) fn log_in(&self, identifier: &str, password: &str) -> String {
        let login = json!({"identifier": identifier, "password": password});
        let session = self.auth.call(LOGIN, &login, None).unwrap();
        text(&session, "/tokens/accessToken")
    }

    /// That a login is refused for this reason.
    #[track_caller]
    pub(super) fn login_refused(&self, identifier: &str, password: &str, reason: &str) {
        let login = json!({"identifier": identifier, "password": password});
        self.refused_with("Login", self.auth.call(LOGIN, &login, None), reason);
    }

    /// Logs somebody in for the first time, who chooses a password; the answer is that and the access token.
    #[track_caller]
    pub(super) fn first_log_in(&self, identifier: &str, first: &str) -> (String, String) {
        let login = json!({"identifier": identifier, "password": first});
        let challenge = self.auth.call(LOGIN, &login, None).unwrap();
        let password = random_password().unwrap();
        let answer = json!({
            "challenge_token": text(&challenge, "/challenge/challengeToken"),
            "password_change": {"new_password": password},
        });
        let session = self.auth.call(CONTINUE_LOGIN, &answer, None).unwrap();
        (password, text(&session, "/tokens/accessToken"))
    }

    fn inside(&self) -> [&str; 4] {
        let protoset = self.protoset.path().to_str().unwrap();
        ["-protoset", protoset, "-H", &self.service_key]
    }

    #[track_caller]
    fn succeeded<T>(&self, rpc: &str, answer: Result<T, Refusal>) -> T {
        let answer = answer.unwrap_or_else(|refusal| panic!("{rpc}: {}", refusal.text));
        self.told.borrow_mut().insert(rpc.to_owned());
        answer
    }

    #[track_caller]
    fn refused_with<T: Debug>(&self, rpc: &str, answer: Result<T, Refusal>, reason: &str) {
        let refusal = answer.expect_err(rpc);
        assert!(refusal.has_reason(reason), "{rpc}: {}", refusal.text);
        self.denied.borrow_mut().insert(rpc.to_owned());
    }
}

fn full(rpc: &str) -> String {
    format!("{PACKAGE}.{rpc}")
}

/// A text that must be there.
#[track_caller]
pub(super) fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    let found = found.unwrap_or_else(|| panic!("{pointer} is missing in {value}"));
    assert!(!found.is_empty(), "{pointer} is empty in {value}");
    found.to_owned()
}

/// That an answer says these things, whatever else it says.
#[track_caller]
pub(super) fn says(answer: &Value, expected: &[(&str, Value)]) {
    for (pointer, value) in expected {
        assert_eq!(
            answer.pointer(pointer),
            Some(value),
            "{pointer} in {answer}"
        );
    }
}

/// The texts of a field of every item of a list.
#[track_caller]
pub(super) fn each(answer: &Value, list: &str, pointer: &str) -> Vec<String> {
    let items = answer.pointer(list).and_then(Value::as_array);
    let items = items.unwrap_or_else(|| panic!("{list} is missing in {answer}"));
    items.iter().map(|item| text(item, pointer)).collect()
}

/// A time in an hour, as JSON writes it.
pub(super) fn in_an_hour() -> String {
    let time = SystemTime::now() + Duration::from_hours(1);
    prost_types::Timestamp {
        nanos: 0,
        ..prost_types::Timestamp::from(time)
    }
    .to_string()
}
