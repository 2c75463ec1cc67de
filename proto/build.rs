//! Compiles the contract in pure Rust: messages, stubs and the descriptor set, without protoc.

use std::{env, error::Error, fs, path::PathBuf};

/// Messages whose fields hold passwords, hashes or tokens: their `Debug` is written by hand in `redact.rs`.
const SECRET_MESSAGES: &[&str] = &[
    ".identity.user.v1.CreateUserRequest",
    ".identity.user.v1.ImportedUser",
    ".identity.user.v1.ConfirmEmailRequest",
    ".identity.user.v1.PendingMail",
    ".identity.user.v1.GetCredentialResponse",
    ".identity.user.v1.SetPasswordHashRequest",
    ".identity.auth.v1.TokenSet",
    ".identity.auth.v1.Challenge",
    ".identity.auth.v1.LoginRequest",
    ".identity.auth.v1.PasswordChangeAnswer",
    ".identity.auth.v1.ContinueLoginRequest",
    ".identity.auth.v1.RefreshTokenRequest",
    ".identity.auth.v1.ValidateTokenRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=identity");
    println!("cargo::rerun-if-changed=third_party");
    let mut roots = proto_files("identity")?;
    roots.extend(proto_files("third_party")?);
    // The nested root first, so that its files get their own names and not `third_party/…`.
    let mut compiler = protox::Compiler::new(["third_party", "."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(&roots)?;

    #[expect(
        clippy::disallowed_methods,
        reason = "cargo speaks to build scripts through the environment"
    )]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // protox's own encoding: a re-encoded prost set would lose the method options.
    fs::write(
        out.join("identity_descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;

    tonic_prost_build::configure()
        .skip_debug(SECRET_MESSAGES)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Every `.proto` file below a folder, sorted.
fn proto_files(folder: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut pending = vec![PathBuf::from(folder)];
    let mut files = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "proto")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
