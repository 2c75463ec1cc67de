//! Who may import whom: from the contract upwards, and inside a service towards its domain.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Our crates from the contract upwards: each may depend on those before it.
const LAYERS: [(&str, &str, &[&str]); 5] = [
    ("identity-proto", "proto", &[]),
    ("identity-guard", "shared/guard", &["identity-proto"]),
    (
        "identity-kit",
        "shared/kit",
        &["identity-proto", "identity-guard"],
    ),
    (
        "user-service",
        "user-service",
        &["identity-proto", "identity-guard", "identity-kit"],
    ),
    (
        "auth-service",
        "auth-service",
        &["identity-proto", "identity-guard", "identity-kit"],
    ),
];

/// Rooms of a service, and the words that none of their files may say.
const ROOMS: [(&str, &[&str]); 4] = [
    (
        "domain",
        &[
            "tonic",
            "prost",
            "prost_types",
            "identity_proto",
            "axum",
            "sea_orm",
            "sqlx",
            "crate::app",
            "crate::client",
            "crate::grpc",
            "crate::store",
        ],
    ),
    (
        "grpc",
        &["sea_orm", "sea_orm_migration", "sqlx", "crate::app"],
    ),
    (
        "store",
        &[
            "tonic",
            "prost",
            "prost_types",
            "identity_proto",
            "axum",
            "crate::app",
            "crate::client",
            "crate::grpc",
        ],
    ),
    (
        "client",
        &[
            "sea_orm",
            "sqlx",
            "crate::app",
            "crate::grpc",
            "crate::store",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn crates_depend_downwards_alone() {
    let mut violations = Vec::new();
    for (name, folder, allowed) in LAYERS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        for dependency in dependencies(&manifest) {
            let ours = LAYERS.iter().any(|(layer, ..)| *layer == dependency);
            if ours && !allowed.contains(&dependency) && name != dependency {
                violations.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn rooms_of_a_service_import_towards_the_domain_alone() {
    let mut violations = Vec::new();
    for service in ["user-service", "auth-service"] {
        for (room, forbidden) in ROOMS {
            let source = root().join(service).join("src");
            let files = files_below(&source.join(room))
                .into_iter()
                .chain([source.join(room).with_extension("rs")])
                .filter(|file| file.exists());
            for file in files {
                let text = fs::read_to_string(&file).unwrap();
                for (line, word) in mentions(&text, forbidden) {
                    violations.push(format!("{}:{line}: {word}", file.display()));
                }
            }
        }
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// What a manifest depends on outside its tests.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if matches!(section, "[dependencies]" | "[build-dependencies]") {
            let end = line.find(['.', '=', ' ']).unwrap_or(line.len());
            names.push(&line[..end]);
        }
    }
    names
}

/// Every Rust file below a folder; none where there is no such folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The lines, from 1, whose code says one of the words as a path of its own.
fn mentions<'a>(text: &str, words: &[&'a str]) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for word in words {
            let said = code.match_indices(word).any(|(start, _)| {
                let part = |c: char| c.is_alphanumeric() || c == '_';
                let before = code[..start].chars().next_back();
                let after = code[start + word.len()..].trim_start();
                !before.is_some_and(|c| part(c) || c == ':' || c == '"' || c == '.')
                    && (after.starts_with("::")
                        || after.starts_with([';', ',', '}'])
                        || is_use(code))
                    && !after.starts_with(part)
            });
            if said {
                found.push((index + 1, *word));
            }
        }
    }
    found
}

fn is_use(code: &str) -> bool {
    let code = code.trim_start();
    code.starts_with("use ") || code.starts_with("pub use ") || code.starts_with("pub(crate) use ")
}

#[test]
fn a_mention_is_found_in_code_and_not_elsewhere() {
    let text = "//! Knows no tonic::Status.\nuse tonic::Status;\nfn f() -> tonic::Status {}\n\
        let tonic_like = 1; // tonic::x\nlet s = \"tonic\";\nuse crate::grpc;\nuse crate::grpc_like::x;\n";
    assert_eq!(
        mentions(text, &["tonic", "crate::grpc"]),
        [(2, "tonic"), (3, "tonic"), (6, "crate::grpc")]
    );
}

#[test]
fn a_manifest_is_read_without_its_tests() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nidentity-kit.workspace = true\n\
        serde = { workspace = true }\n[dev-dependencies]\nuser-service.workspace = true\n";
    assert_eq!(dependencies(manifest), ["identity-kit", "serde"]);
}
