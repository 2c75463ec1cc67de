//! The methods of the contract with their metrics, resolved once, so that a call costs no look-up of labels and no
//! caller can invent one.

mod descriptor;

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, global, metrics::Histogram};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use prost::Message;
use tonic::Code;

use descriptor::{FileDescriptorSet, MethodDescriptor};

/// The codes in the order of their numbers: as Prometheus dashboards and as OpenTelemetry spell them.
const CODES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// The one label of all methods that the contract does not have.
const OTHER: &str = "_OTHER";

/// A code as OpenTelemetry spells it.
pub(super) fn code_name(code: Code) -> &'static str {
    CODES[code as usize].1
}

/// Whether the server is to blame for a code.
pub(super) fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The methods that this server may be asked for.
pub(super) struct Methods {
    by_path: HashMap<String, usize>,
    /// The first one stands for all that are not known.
    all: Vec<Method>,
    handled: IntCounterVec,
    duration: Histogram<f64>,
}

/// One method and its metrics.
pub(super) struct Method {
    /// `package.Service/Method`.
    pub(super) name: String,
    labels: [String; 3],
    started: IntCounter,
    by_code: [OnceLock<Outcome>; CODES.len()],
}

/// The metrics of one method's calls that ended with one code.
struct Outcome {
    handled: IntCounter,
    attributes: Vec<KeyValue>,
}

impl Methods {
    /// The methods of the contract, of health and of reflection, counted in `registry` and by the global meter.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = ["grpc_type", "grpc_service", "grpc_method"];
        let started = IntCounterVec::new(
            Opts::new("grpc_server_started_total", "Calls that were begun."),
            &labels,
        )?;
        let handled = IntCounterVec::new(
            Opts::new("grpc_server_handled_total", "Calls that ended, by code."),
            &[labels[0], labels[1], labels[2], "grpc_code"],
        )?;
        registry.register(Box::new(started.clone()))?;
        registry.register(Box::new(handled.clone()))?;
        let duration = global::meter("identity-kit")
            .f64_histogram("rpc.server.call.duration")
            .with_unit("s")
            .with_description("Duration of calls, from arrival to the end of the answer.")
            .with_boundaries(vec![
                0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
                2.5, 5.0, 10.0,
            ])
            .build();
        let mut methods = Self {
            by_path: HashMap::new(),
            all: Vec::new(),
            handled,
            duration,
        };
        methods.add(&started, "unary", OTHER, OTHER);
        for descriptors in [
            identity_proto::DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            let files = FileDescriptorSet::decode(descriptors)
                .map_err(|error| prometheus::Error::Msg(error.to_string()))?;
            for file in files.file {
                for service in file.service {
                    let name = format!("{}.{}", file.package, service.name);
                    for method in &service.method {
                        methods.add(&started, kind(method), &name, &method.name);
                    }
                }
            }
        }
        Ok(methods)
    }

    fn add(&mut self, started: &IntCounterVec, kind: &str, service: &str, method: &str) {
        let name = format!("{service}/{method}");
        self.by_path.insert(format!("/{name}"), self.all.len());
        self.all.push(Method {
            name: if service == OTHER {
                OTHER.to_owned()
            } else {
                name
            },
            started: started.with_label_values(&[kind, service, method]),
            labels: [kind, service, method].map(str::to_owned),
            by_code: [const { OnceLock::new() }; CODES.len()],
        });
    }

    /// The paths of the methods whose callers send a stream of messages.
    pub(super) fn client_streams(&self) -> Vec<String> {
        let streams = self.by_path.iter().filter(|(_, number)| {
            let [kind, ..] = &self.get(**number).labels;
            matches!(kind.as_str(), "client_stream" | "bidi_stream")
        });
        streams.map(|(path, _)| path.clone()).collect()
    }

    /// The number of the method that a path names.
    pub(super) fn find(&self, path: &str) -> usize {
        self.by_path.get(path).copied().unwrap_or_default()
    }

    /// The method of a number that [`find`](Self::find) gave.
    pub(super) fn get(&self, number: usize) -> &Method {
        &self.all[number]
    }

    /// Counts a call that begins.
    pub(super) fn start(&self, number: usize) {
        self.get(number).started.inc();
    }

    /// Counts a call that ended.
    pub(super) fn end(&self, number: usize, code: Code, took: Duration) {
        let method = self.get(number);
        let outcome = method.by_code[code as usize].get_or_init(|| self.outcome(method, code));
        outcome.handled.inc();
        self.duration
            .record(took.as_secs_f64(), &outcome.attributes);
    }

    fn outcome(&self, method: &Method, code: Code) -> Outcome {
        let [kind, service, name] = &method.labels;
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", method.name.clone()),
            KeyValue::new("rpc.response.status_code", code_name(code)),
        ];
        if is_server_error(code) {
            attributes.push(KeyValue::new("error.type", code_name(code)));
        }
        let labels = [kind, service, name, CODES[code as usize].0];
        Outcome {
            handled: self.handled.with_label_values(&labels),
            attributes,
        }
    }
}

fn kind(method: &MethodDescriptor) -> &'static str {
    match (method.client_streaming, method.server_streaming) {
        (false, false) => "unary",
        (true, false) => "client_stream",
        (false, true) => "server_stream",
        (true, true) => "bidi_stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods_share_one_label() {
        let registry = Registry::new();
        let methods = Methods::new(&registry).expect("registers");
        let login = methods.find("/identity.auth.v1.AuthService/Login");
        assert_eq!(
            methods.get(login).name,
            "identity.auth.v1.AuthService/Login"
        );
        for path in ["/identity.auth.v1.AuthService/Logon", "/", "", "/a/b/c"] {
            assert_eq!(methods.get(methods.find(path)).name, OTHER);
        }
    }

    #[test]
    fn every_code_has_both_names() {
        for (number, (prometheus, opentelemetry)) in (0..).zip(CODES) {
            let code = Code::from_i32(number);
            let known = format!("{code:?}");
            if !matches!(code, Code::Ok | Code::Cancelled) {
                assert_eq!(prometheus, known);
            }
            assert_eq!(
                opentelemetry.replace('_', "").to_lowercase(),
                known.to_lowercase()
            );
        }
    }
}
