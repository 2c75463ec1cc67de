//! What `cargo dev` can be told.

use std::path::PathBuf;

/// Builds both services, starts them on the embedded store, and shows calls to try.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
pub struct Args {
    /// Where databases, keys, certificates and logs are kept [default: dev-data in the target folder]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,

    /// Take any free ports instead of 50051, 50052, 9051 and 50061, 50062, 9061
    #[arg(long)]
    pub free_ports: bool,

    /// Start the services that lie beside this program, without building them
    #[arg(long)]
    pub no_build: bool,

    /// Make the journey, show the calls, and stop
    #[arg(long)]
    pub once: bool,
}
