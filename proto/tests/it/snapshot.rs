//! The whole contract as text, compared with its last accepted form, so that no break goes unseen.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::contract::{enums, files, messages, option, rule, services, text};

const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/contract.txt");
const ACCEPT: &str = "ACCEPT_CONTRACT";

#[test]
fn the_contract_is_as_it_was_accepted() {
    let contract = render();
    #[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
    if std::env::var_os(ACCEPT).is_some() {
        fs::write(ACCEPTED, &contract).unwrap();
    }
    let accepted = fs::read_to_string(Path::new(ACCEPTED)).unwrap_or_default();
    assert!(
        contract == accepted,
        "the contract is not as it was accepted (- accepted, + now):\n\n{}\n\
        Is every change one that callers of today survive? Then accept it:\n\n    \
        {ACCEPT}=1 cargo test -p identity-proto\n",
        difference(&accepted, &contract)
    );
}

/// The contract, sorted by names and numbers: the order within a file says nothing on the wire.
fn render() -> String {
    let mut out = String::new();
    let packages: BTreeSet<String> = files()
        .iter()
        .map(|file| file.package_name().to_owned())
        .collect();
    for package in packages {
        writeln!(out, "package {package}").unwrap();
        extensions(&mut out, &package);
        for service in services()
            .iter()
            .filter(|service| service.package_name() == package)
        {
            writeln!(out, "\nservice {}", service.name()).unwrap();
            let mut methods: Vec<_> = service.methods().collect();
            methods.sort_by(|a, b| a.name().cmp(b.name()));
            for method in &methods {
                rpc(&mut out, &package, method);
            }
        }
        for found in messages()
            .iter()
            .filter(|found| found.package_name() == package)
        {
            message(&mut out, &package, found);
        }
        for found in enums()
            .iter()
            .filter(|found| found.package_name() == package)
        {
            writeln!(out, "\nenum {}", local(&package, found.full_name())).unwrap();
            let mut values: Vec<_> = found.values().collect();
            values.sort_by_key(prost_reflect::EnumValueDescriptor::number);
            for value in values {
                writeln!(out, "  {} {}", value.number(), value.name()).unwrap();
            }
            for range in found.reserved_ranges() {
                writeln!(out, "  reserved {} to {}", range.start(), range.end()).unwrap();
            }
        }
        out.push('\n');
    }
    out
}

fn extensions(out: &mut String, package: &str) {
    for file in files().iter().filter(|file| file.package_name() == package) {
        for extension in file.extensions() {
            writeln!(
                out,
                "\nextend {}\n  {} {}: {}",
                extension.containing_message().full_name(),
                extension.number(),
                extension.name(),
                kind(package, &extension.kind())
            )
            .unwrap();
        }
    }
}

fn rpc(out: &mut String, package: &str, method: &MethodDescriptor) {
    let stream = |streaming| if streaming { "stream " } else { "" };
    writeln!(
        out,
        "  rpc {}({}{}) returns ({}{})",
        method.name(),
        stream(method.is_client_streaming()),
        local(package, method.input().full_name()),
        stream(method.is_server_streaming()),
        local(package, method.output().full_name()),
    )
    .unwrap();
    let (rule, detail) = rule(method).unwrap();
    let parts: Vec<_> = detail
        .fields()
        .map(|(field, _)| format!(" {}={}", field.name(), text(&detail, field.name())))
        .collect();
    writeln!(out, "    rule {rule}{}", parts.concat()).unwrap();
    if let Some(http) = option(method, "google.api.http") {
        let parts: Vec<_> = http
            .fields()
            .map(|(field, _)| format!(" {} {}", field.name(), text(&http, field.name())))
            .collect();
        writeln!(out, "    http{}", parts.concat()).unwrap();
    }
}

fn message(out: &mut String, package: &str, message: &MessageDescriptor) {
    writeln!(out, "\nmessage {}", local(package, message.full_name())).unwrap();
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    for field in fields {
        let cardinality = match field.cardinality() {
            Cardinality::Repeated => "repeated ",
            Cardinality::Required => "required ",
            Cardinality::Optional => "",
        };
        let group = match field.containing_oneof() {
            Some(oneof) if oneof.is_synthetic() => ", optional".to_owned(),
            Some(oneof) => format!(", one of {}", oneof.name()),
            None => String::new(),
        };
        writeln!(
            out,
            "  {} {}: {cardinality}{}{group}",
            field.number(),
            field.name(),
            kind(package, &field.kind())
        )
        .unwrap();
    }
    for range in message.reserved_ranges() {
        writeln!(out, "  reserved {} to {}", range.start, range.end - 1).unwrap();
    }
    for name in message.reserved_names() {
        writeln!(out, "  reserved {name}").unwrap();
    }
}

/// The name of a type as it stands in a file of the package.
fn kind(package: &str, kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => local(package, message.full_name()).to_owned(),
        Kind::Enum(found) => local(package, found.full_name()).to_owned(),
        scalar => format!("{scalar:?}").to_ascii_lowercase(),
    }
}

fn local<'a>(package: &str, full_name: &'a str) -> &'a str {
    full_name
        .strip_prefix(package)
        .and_then(|name| name.strip_prefix('.'))
        .unwrap_or(full_name)
}

/// The lines that differ, each behind the heading that it stands under.
fn difference(old: &str, new: &str) -> String {
    let headed = |contract: &str| {
        let mut heading = (String::new(), String::new());
        let mut lines = BTreeSet::new();
        for line in contract.lines().filter(|line| !line.is_empty()) {
            if line.starts_with("package ") {
                heading = (line.to_owned(), String::new());
            } else if !line.starts_with(' ') {
                line.clone_into(&mut heading.1);
            }
            lines.insert(format!("{} / {}: {}", heading.0, heading.1, line.trim()));
        }
        lines
    };
    let (old, new) = (headed(old), headed(new));
    let mut lines: Vec<_> = old
        .difference(&new)
        .map(|line| (line, '-'))
        .chain(new.difference(&old).map(|line| (line, '+')))
        .collect();
    lines.sort_by_key(|(line, sign)| (*line, *sign == '+'));
    lines.iter().fold(String::new(), |mut out, (line, sign)| {
        writeln!(out, "{sign} {line}").unwrap();
        out
    })
}

#[test]
fn a_difference_names_the_place_and_both_forms() {
    let old = "package a\n\nmessage M\n  1 id: string\n  2 name: string\n";
    let new = "package a\n\nmessage M\n  1 id: bytes\n  2 name: string\n";
    assert_eq!(
        difference(old, new),
        "+ package a / message M: 1 id: bytes\n- package a / message M: 1 id: string\n"
    );
}
