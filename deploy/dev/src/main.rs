//! `cargo dev`: both services on the embedded store, ready to use.

use std::process::ExitCode;

use clap::Parser;
use identity_dev::{args::Args, run};

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the terminal is what this program is for"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run::run(&Args::parse(), &|text: &str| println!("{text}")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
