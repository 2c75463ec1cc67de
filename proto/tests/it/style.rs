//! Names, shapes, comments and rules: each test names every violation at once.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};

use crate::contract::{comment, enums, files, messages, methods, option, rule, services, text};

/// Fails with all violations, one a line.
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// `GetUser` as `get_user` or, in capitals, `GET_USER`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn is_snake(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_message(field: &FieldDescriptor, full_name: &str) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == full_name)
}

#[test]
fn the_contract_is_there_to_be_judged() {
    assert!(services().len() >= 9, "{}", services().len());
    assert!(methods().len() > 40, "{}", methods().len());
}

#[test]
fn a_package_is_its_folder_and_its_version() {
    let mut violations = Vec::new();
    for file in files() {
        let package = file.package_name();
        let folder = file
            .name()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        if package.replace('.', "/") != folder {
            violations.push(format!("{}: package {package}", file.name()));
        }
        let version = package.rsplit('.').next().unwrap_or_default();
        let number = version.strip_prefix('v').unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            violations.push(format!("{}: {package} ends in no version", file.name()));
        }
    }
    assert_none(&violations);
}

#[test]
fn a_file_holds_one_service_of_its_name_or_none() {
    let mut violations = Vec::new();
    for file in files() {
        let stem = file.name().rsplit('/').next().unwrap_or_default();
        let named = stem.ends_with("_service.proto");
        let services: Vec<_> = file.services().collect();
        if named != (services.len() == 1) || services.len() > 1 {
            violations.push(format!("{}: {} services", file.name(), services.len()));
        }
        for service in services {
            if !service.name().ends_with("Service") {
                violations.push(format!("{} does not end in Service", service.full_name()));
            }
            if format!("{}.proto", snake(service.name())) != stem {
                violations.push(format!("{} in {}", service.full_name(), file.name()));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn every_rpc_has_a_request_and_a_response_of_its_own() {
    let mut violations = Vec::new();
    for method in methods() {
        let package = method.parent_service().package_name().to_owned();
        for (message, suffix) in [(method.input(), "Request"), (method.output(), "Response")] {
            let expected = format!("{package}.{}{suffix}", method.name());
            if message.full_name() != expected {
                violations.push(format!(
                    "{}: {} instead of {expected}",
                    method.full_name(),
                    message.full_name()
                ));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn every_request_and_response_belongs_to_an_rpc() {
    let used: Vec<_> = methods()
        .iter()
        .flat_map(|method| [method.input(), method.output()])
        .collect();
    let violations: Vec<_> = messages()
        .into_iter()
        .filter(|message| {
            message.name().ends_with("Request") || message.name().ends_with("Response")
        })
        .filter(|message| !used.contains(message))
        .map(|message| format!("{} is of no RPC", message.full_name()))
        .collect();
    assert_none(&violations);
}

#[test]
fn fields_are_in_snake_case() {
    let violations: Vec<_> = messages()
        .iter()
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .filter(|field| !is_snake(field.name()))
        .map(|field| field.full_name().to_owned())
        .collect();
    assert_none(&violations);
}

#[test]
fn enum_values_carry_the_name_of_their_enum_and_zero_is_unspecified() {
    let mut violations = Vec::new();
    for found in enums() {
        let prefix = format!("{}_", snake(found.name()).to_ascii_uppercase());
        for value in found.values() {
            if !value.name().starts_with(&prefix) {
                violations.push(format!(
                    "{} does not begin with {prefix}",
                    value.full_name()
                ));
            }
            let unspecified = format!("{prefix}UNSPECIFIED");
            if (value.number() == 0) != (value.name() == unspecified) {
                violations.push(format!("{} = {}", value.full_name(), value.number()));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn everything_has_a_comment() {
    let mut violations = Vec::new();
    let mut check = |file: &FileDescriptor, path: &[i32], name: &str| {
        if comment(file, path).is_empty() {
            violations.push(format!("{}: {name}", file.name()));
        }
    };
    for service in services() {
        check(&service.parent_file(), service.path(), service.full_name());
    }
    for method in methods() {
        let file = method.parent_service().parent_file();
        check(&file, method.path(), method.full_name());
    }
    for message in messages() {
        let file = message.parent_file();
        check(&file, message.path(), message.full_name());
        for field in message.fields() {
            check(&file, field.path(), field.full_name());
        }
        // `optional` makes a oneof that nobody wrote.
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            check(&file, oneof.path(), oneof.full_name());
        }
    }
    for found in enums() {
        let file = found.parent_file();
        check(&file, found.path(), found.full_name());
        for value in found.values() {
            check(&file, value.path(), value.full_name());
        }
    }
    for file in files() {
        for extension in file.extensions() {
            check(&file, extension.path(), extension.full_name());
        }
    }
    assert_none(&violations);
}

#[test]
fn times_are_timestamps_and_timestamps_are_times() {
    let mut violations = Vec::new();
    for field in messages().iter().flat_map(MessageDescriptor::fields) {
        let named = field.name().ends_with("_time");
        if named != is_message(&field, "google.protobuf.Timestamp") {
            violations.push(format!("{}: {:?}", field.full_name(), field.kind()));
        }
    }
    assert_none(&violations);
}

#[test]
fn pages_are_asked_for_and_answered_in_one_way() {
    let has = |message: &MessageDescriptor, name: &str, kind: &Kind| {
        message
            .get_field_by_name(name)
            .is_some_and(|field| field.kind() == *kind && !field.is_list())
    };
    let mut violations = Vec::new();
    let mut paged = Vec::new();
    for method in methods() {
        let (request, response) = (method.input(), method.output());
        let parts = [
            has(&request, "page_size", &Kind::Int32),
            has(&request, "page_token", &Kind::String),
            has(&response, "next_page_token", &Kind::String),
        ];
        if parts.contains(&true) {
            paged.extend([request, response]);
            if parts.contains(&false) {
                violations.push(format!(
                    "{}: int32 page_size, string page_token, string next_page_token: {parts:?}",
                    method.full_name()
                ));
            }
        }
    }
    for message in messages() {
        let stray = ["page_size", "page_token", "next_page_token"]
            .iter()
            .any(|name| message.get_field_by_name(name).is_some());
        if stray && !paged.contains(&message) {
            violations.push(format!("{} has a part of a page", message.full_name()));
        }
    }
    assert_none(&violations);
}

#[test]
fn every_rpc_says_who_may_call_it() {
    let mut violations = Vec::new();
    for method in methods() {
        let name = method.full_name();
        let Some((kind, value)) = rule(&method) else {
            violations.push(format!("{name} has no rule, or one without a kind"));
            continue;
        };
        let kinds =
            option(&method, "identity.access.v1.rule").map_or(0, |rule| rule.fields().count());
        if kinds != 1 {
            violations.push(format!("{name} has {kinds} kinds of rule"));
        }
        if matches!(kind.as_str(), "permission" | "self_or_permission") {
            let permission = text(&value, "name");
            let well_formed = permission
                .split_once('.')
                .is_some_and(|(resource, verb)| is_snake(resource) && is_snake(verb));
            if !well_formed {
                violations.push(format!("{name}: permission {permission:?}"));
            }
        }
        if kind == "self_or_permission" {
            let path = text(&value, "field");
            let field = method.input().get_field_by_name(&path);
            if !field.is_some_and(|field| field.kind() == Kind::String && !field.is_list()) {
                violations.push(format!(
                    "{name}: {path:?} is no singular string of the request"
                ));
            }
        }
        if kind == "service" && text(&value, "scope").is_empty() {
            violations.push(format!("{name}: no scope"));
        }
    }
    assert_none(&violations);
}

const CODES: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The documented code of each reason, by the reason without its prefix.
fn documented_reasons() -> BTreeMap<String, &'static str> {
    let reasons = enums()
        .into_iter()
        .find(|found| found.full_name() == "identity.error.v1.ErrorReason")
        .unwrap();
    reasons
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| {
            let name = value.name().trim_start_matches("ERROR_REASON_").to_owned();
            (name, comment(&reasons.parent_file(), value.path()))
        })
        .collect()
}

#[test]
fn every_error_reason_is_documented_by_its_code_and_an_example() {
    let mut violations = Vec::new();
    for (reason, comment) in documented_reasons() {
        let code = comment.split('.').next().unwrap_or_default();
        if !CODES.contains(&code) {
            violations.push(format!(
                "{reason} does not begin with its code: {comment:?}"
            ));
        }
        if !comment.contains("Example:") {
            violations.push(format!("{reason} has no example"));
        }
    }
    assert_none(&violations);
}

#[test]
fn errors_in_comments_are_code_and_reason_as_documented() {
    let reasons = documented_reasons();
    let mut violations = Vec::new();
    let services = services();
    let documented = services
        .iter()
        .map(|service| {
            (
                service.full_name().to_owned(),
                service.parent_file(),
                service.path().to_vec(),
            )
        })
        .chain(methods().into_iter().map(|method| {
            let file = method.parent_service().parent_file();
            (method.full_name().to_owned(), file, method.path().to_vec())
        }));
    for (name, file, path) in documented {
        for (code, reason) in errors(comment(&file, &path)) {
            let right = reasons
                .get(&reason)
                .is_some_and(|comment| comment.starts_with(&format!("{code}.")));
            if !right {
                violations.push(format!("{name}: {code} / {reason}"));
            }
        }
    }
    assert_none(&violations);
}

/// Reads `CODE / REASON, REASON; CODE / REASON` out of a comment.
fn errors(comment: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = comment.split_whitespace().collect();
    let mut errors = Vec::new();
    let mut code = None;
    for (index, word) in words.iter().enumerate() {
        if *word == "/" {
            continue;
        }
        let name = word.trim_matches(|c: char| !c.is_ascii_uppercase() && c != '_');
        let capitals = name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if capitals && words.get(index + 1) == Some(&"/") {
            code = Some(name);
        } else if let Some(code) = code.filter(|_| capitals) {
            errors.push((code.to_owned(), name.to_owned()));
        }
        // A list of reasons goes on behind a comma alone.
        if !word.ends_with(',') && words.get(index + 1) != Some(&"/") {
            code = None;
        }
    }
    errors
}

#[test]
fn errors_are_read_out_of_comments_whole() {
    let comment = "Does it.\n\nErrors: NOT_FOUND / USER_NOT_FOUND, ROLE_NOT_FOUND; ABORTED /\nETAG_MISMATCH, \
        UNAVAILABLE / DEPENDENCY_UNAVAILABLE (later). With CHANGE, it goes on.";
    let expected = [
        ("NOT_FOUND", "USER_NOT_FOUND"),
        ("NOT_FOUND", "ROLE_NOT_FOUND"),
        ("ABORTED", "ETAG_MISMATCH"),
        ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE"),
    ]
    .map(|(code, reason)| (code.to_owned(), reason.to_owned()));
    assert_eq!(errors(comment), expected);
}
