//! Compiles the contract of the notes, with the access rules that it imports, in pure Rust.

use std::{env, error::Error, fs, path::PathBuf};

/// Where our own files are, and where `identity/access/v1/rule.proto` is.
const INCLUDES: [&str; 2] = ["proto", "../../../../proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for folder in INCLUDES {
        println!("cargo::rerun-if-changed={folder}");
    }
    let mut compiler = protox::Compiler::new(INCLUDES)?;
    compiler
        .include_imports(true)
        .open_file("notes/v1/notes_service.proto")?;

    #[expect(
        clippy::disallowed_methods,
        reason = "cargo speaks to build scripts through the environment"
    )]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // The guard reads the rules from here. protox's own encoding keeps them; a set that prost encodes again does not.
    fs::write(
        out.join("descriptor_set.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
