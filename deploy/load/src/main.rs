//! Measures the pair and prints the table of yardsticks: each a ratio of the product to the bare operation below it,
//! in one run on one machine.

mod bare;
mod logins;
mod people;
mod ratio;
mod reads;
mod refresh;
mod report;
mod rig;
mod slow_disk;
mod startup;
mod stopwatch;
mod tokens;

use std::{error::Error, iter, net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use identity_dev::binaries::Binaries;
use identity_kit::{entropy::SystemEntropy, id::new_id};
use report::Report;
use rig::Rig;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;

/// Measures the pair. Build both services in the same profile first.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints the table of yardsticks.
    Report {
        /// A PostgreSQL server where databases may be made, such as `postgres://postgres@127.0.0.1:5432`, without a
        /// database name; without it only SQLite is measured.
        #[arg(long)]
        postgres: Option<String>,
        /// Measures these parts alone.
        #[arg(long, value_enum)]
        only: Vec<Part>,
        /// The folder of the services' programs, such as `target/dist`; without it that of this program.
        #[arg(long)]
        programs: Option<PathBuf>,
    },
    /// Prints what calls take among many people, and how fast they are imported.
    People {
        /// How many people.
        #[arg(long, default_value_t = 1_000_000)]
        count: u64,
        /// As for the report.
        #[arg(long)]
        postgres: Option<String>,
        /// As for the report.
        #[arg(long)]
        programs: Option<PathBuf>,
    },
    /// Serves one bare RPC: the reference that a report starts by itself.
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        database_url: String,
    },
    /// Measures rotations on SQLite: what a report starts by itself in a process whose disk is slow.
    #[command(hide = true)]
    Rotations,
}

/// A part of the report.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Y4: tokens beside raw signatures.
    Tokens,
    /// Y7: rotations of refresh tokens beside bare ones.
    Refresh,
    /// Y10, Y11: start, memory and size.
    Startup,
    /// Y8, Y9: reads of users beside bare ones.
    Reads,
    /// Y5: logins beside bare hashes.
    Logins,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    match Args::parse().verb {
        Verb::Bare {
            listen,
            database_url,
        } => runtime.block_on(bare::serve(listen, &database_url)),
        Verb::Rotations => slow_disk::print_rotations(&runtime),
        Verb::Report {
            postgres,
            only,
            programs,
        } => report(&runtime, postgres.as_deref(), &only, &binaries(programs)?),
        Verb::People {
            count,
            postgres,
            programs,
        } => people(&runtime, postgres.as_deref(), count, &binaries(programs)?),
    }
}

fn binaries(programs: Option<PathBuf>) -> Result<Binaries, Box<dyn Error>> {
    Ok(match programs {
        Some(folder) => Binaries::in_folder(folder),
        None => Binaries::beside_this_program()?,
    })
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn people(
    runtime: &Runtime,
    postgres: Option<&str>,
    count: u64,
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    println!("| store | among {count} people | p50 in ms | p99 in ms |\n|---|---|---|---|");
    let mut report = Report::default();
    for server in iter::once(None).chain(postgres.map(Some)) {
        let store = server.map_or("SQLite", |_| "PostgreSQL");
        let [many, few] = [
            rig(runtime, server, binaries)?,
            rig(runtime, server, binaries)?,
        ];
        let found = people::people(runtime, store, [&many, &few], count)?;
        print!("{}", found.table);
        report.add(found.growth);
    }
    println!("\n{report}");
    Ok(())
}

/// A pair on SQLite, or on new databases of a server.
fn rig(
    runtime: &Runtime,
    server: Option<&str>,
    binaries: &Binaries,
) -> Result<Rig, Box<dyn Error>> {
    let rig = runtime.block_on(async { Rig::new(binaries) })?;
    Ok(match server {
        None => rig,
        Some(server) => rig.on_postgres([database(runtime, server)?, database(runtime, server)?]),
    })
}

#[expect(
    clippy::print_stdout,
    reason = "the report is what this program is for"
)]
fn report(
    runtime: &Runtime,
    postgres: Option<&str>,
    only: &[Part],
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    let wanted = |part| only.is_empty() || only.contains(&part);
    let mut report = Report::default();
    if wanted(Part::Tokens) {
        report.add(tokens::verification()?);
        report.add(tokens::signing()?);
    }
    for server in iter::once(None).chain(postgres.map(Some)) {
        let store = server.map_or("SQLite", |_| "PostgreSQL");
        let rig = || rig(runtime, server, binaries);
        if wanted(Part::Refresh) {
            report.add(match server {
                None => refresh::on_sqlite(runtime)?,
                Some(server) => refresh::on_postgres(runtime, &database(runtime, server)?)?,
            });
            if server.is_none() {
                report.add(slow_disk::rotations()?);
            }
        }
        if wanted(Part::Startup) {
            report.add(runtime.block_on(startup::startup(store, &rig()?))?);
        }
        if wanted(Part::Reads) {
            report.add(reads::reads(runtime, store, &rig()?)?);
        }
        if wanted(Part::Logins) {
            report.add(logins::logins(runtime, store, &rig()?)?);
        }
    }
    println!("{report}");
    Ok(())
}

/// A new, empty database on a server; its URL.
fn database(runtime: &Runtime, server: &str) -> Result<String, Box<dyn Error>> {
    let server = server.trim_end_matches('/');
    let name = format!("load_{}", new_id(&SystemEntropy));
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&format!("{server}/postgres")).await?;
        // The name is made of letters and digits alone.
        let statement = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        connection.execute(sqlx::raw_sql(statement)).await?;
        Ok::<_, sqlx::Error>(())
    })?;
    Ok(format!("{server}/{name}"))
}
