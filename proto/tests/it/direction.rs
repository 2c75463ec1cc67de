//! Who may import whom: from the contract upwards, and inside a service towards its domain.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A member of the workspace, and which of the others it may depend on.
struct Member {
    name: &'static str,
    folder: &'static str,
    /// In what it is built from.
    imports: &'static [&'static str],
    /// In its tests beside that.
    in_tests: &'static [&'static str],
}

/// All of them, from the contract upwards.
const MEMBERS: [Member; 9] = [
    Member {
        name: "identity-proto",
        folder: "proto",
        imports: &[],
        in_tests: &[],
    },
    Member {
        name: "identity-guard",
        folder: "shared/guard",
        imports: &["identity-proto"],
        in_tests: &[],
    },
    // A backend team has the guard and its own contract, so its example has no more.
    Member {
        name: "identity-example-backend",
        folder: "shared/guard/examples/backend",
        imports: &["identity-guard"],
        in_tests: &["identity-proto"],
    },
    Member {
        name: "identity-kit",
        folder: "shared/kit",
        imports: &["identity-proto", "identity-guard"],
        in_tests: &["identity-kit"],
    },
    Member {
        name: "user-service",
        folder: "user-service",
        imports: &["identity-proto", "identity-guard", "identity-kit"],
        in_tests: &[],
    },
    Member {
        name: "auth-service",
        folder: "auth-service",
        imports: &["identity-proto", "identity-guard", "identity-kit"],
        in_tests: &[],
    },
    // What runs the pair knows it by its contract and its programs.
    Member {
        name: "identity-dev",
        folder: "deploy/dev",
        imports: &["identity-proto"],
        in_tests: &[],
    },
    Member {
        name: "identity-e2e",
        folder: "deploy/e2e",
        imports: &[],
        in_tests: &["identity-proto", "identity-dev", "identity-guard"],
    },
    // It also measures parts of auth-service alone.
    Member {
        name: "identity-load",
        folder: "deploy/load",
        imports: &[
            "identity-proto",
            "identity-guard",
            "identity-kit",
            "identity-dev",
            "auth-service",
        ],
        in_tests: &[],
    },
];

/// The sections of a manifest that a crate is built from, and those of its tests.
const BUILT_FROM: [&str; 2] = ["[dependencies]", "[build-dependencies]"];
const TESTED_WITH: [&str; 1] = ["[dev-dependencies]"];

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
    ("grpc", &["sea_orm", "sqlx", "crate::app"]),
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
fn every_member_of_the_workspace_is_listed() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert_eq!(
        members(&manifest),
        MEMBERS.map(|member| member.folder).into()
    );
    for member in MEMBERS {
        let manifest = fs::read_to_string(root().join(member.folder).join("Cargo.toml")).unwrap();
        let name = format!("\nname = \"{}\"\n", member.name);
        assert!(manifest.contains(&name), "{}", member.folder);
    }
}

#[test]
fn members_depend_on_what_they_may_alone() {
    let mut violations = Vec::new();
    for member in MEMBERS {
        let name = member.name;
        let manifest = fs::read_to_string(root().join(member.folder).join("Cargo.toml")).unwrap();
        for dependency in ours(&manifest, &BUILT_FROM) {
            if !member.imports.contains(&dependency) {
                violations.push(format!("{name} depends on {dependency}"));
            }
        }
        for dependency in ours(&manifest, &TESTED_WITH) {
            let allowed = [member.imports, member.in_tests].concat();
            if !allowed.contains(&dependency) {
                violations.push(format!("the tests of {name} depend on {dependency}"));
            }
        }
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn nothing_depends_on_what_stands_above_it() {
    for (index, member) in MEMBERS.iter().enumerate() {
        for import in member.imports {
            let below = MEMBERS[..index].iter().any(|other| other.name == *import);
            assert!(below, "{} may import {import}", member.name);
        }
    }
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

/// The folders of the members of a workspace.
fn members(manifest: &str) -> BTreeSet<&str> {
    let list = manifest.split_once("members = [").unwrap().1;
    let list = list.split_once(']').unwrap().0;
    list.split('"').skip(1).step_by(2).collect()
}

/// The members that a manifest names in these sections.
fn ours<'m>(manifest: &'m str, sections: &[&str]) -> Vec<&'m str> {
    let mut names = dependencies(manifest, sections);
    names.retain(|name| MEMBERS.iter().any(|member| member.name == *name));
    names
}

/// What a manifest names in these sections.
fn dependencies<'m>(manifest: &'m str, sections: &[&str]) -> Vec<&'m str> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if sections.contains(&section) && !line.is_empty() && !line.starts_with('#') {
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
fn a_manifest_is_read_by_its_sections() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\nidentity-kit.workspace = true\n\n\
        serde = { workspace = true }\n[dev-dependencies]\nuser-service.workspace = true\n";
    let built_from = dependencies(manifest, &BUILT_FROM);
    assert_eq!(built_from, ["identity-kit", "serde"]);
    assert_eq!(ours(manifest, &BUILT_FROM), ["identity-kit"]);
    assert_eq!(ours(manifest, &TESTED_WITH), ["user-service"]);
}
