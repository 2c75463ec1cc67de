//! user-service: reads its configuration and does what the verb says.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use user_service::{cli, config::Config};

fn main() -> ExitCode {
    let config: Config = Config::program().parse();
    let result = tokio::runtime::Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(cli::run(config)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be told that standard error is closed.
            let _ = writeln!(io::stderr(), "user-service: {}", chain(&*error));
            cli::exit_code(&*error)
        }
    }
}

/// The error with its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
