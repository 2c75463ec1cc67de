//! Measures the pair and prints the table of yardsticks: each a ratio of the product to the bare operation below it,
//! in one run on one machine.

mod bare;
mod logins;
mod ratio;
mod reads;
mod refresh;
mod report;
mod rig;
mod startup;
mod stopwatch;
mod tokens;

use std::{error::Error, net::SocketAddr};

use clap::{Parser, Subcommand};
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
    },
    /// Serves one bare RPC: the reference that a report starts by itself.
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        database_url: String,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    match Args::parse().verb {
        Verb::Bare {
            listen,
            database_url,
        } => runtime.block_on(bare::serve(listen, &database_url)),
        Verb::Report { postgres } => report(&runtime, postgres.as_deref()),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the report is what this program is for"
)]
fn report(runtime: &Runtime, postgres: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut report = Report::default();
    report.add(tokens::verification()?);
    report.add(tokens::signing()?);
    report.add(refresh::on_sqlite(runtime)?);
    let rig = || -> Result<Rig, Box<dyn Error>> { runtime.block_on(async { Rig::new() }) };
    report.add(runtime.block_on(startup::startup("SQLite", &rig()?))?);
    report.add(reads::reads(runtime, "SQLite", &rig()?)?);
    report.add(logins::logins(runtime, "SQLite", &rig()?)?);
    if let Some(server) = postgres {
        let on_postgres = || -> Result<Rig, Box<dyn Error>> {
            let databases = [database(runtime, server)?, database(runtime, server)?];
            Ok(rig()?.on_postgres(databases))
        };
        report.add(refresh::on_postgres(runtime, &database(runtime, server)?)?);
        report.add(runtime.block_on(startup::startup("PostgreSQL", &on_postgres()?))?);
        report.add(reads::reads(runtime, "PostgreSQL", &on_postgres()?)?);
        report.add(logins::logins(runtime, "PostgreSQL", &on_postgres()?)?);
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
