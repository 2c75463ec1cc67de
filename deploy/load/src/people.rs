//! Among many people: what calls take, and how fast an import is beside a bare bulk insert of the same rows.
//!
//! The people are made by a seed, so that every run has the same ones.

mod bulk;
mod calls;
mod generator;

use std::{error::Error, fmt::Write as _, fs::File, io::BufWriter, process::Stdio};

use identity_dev::service::Service;
use tokio::runtime::Runtime;

use crate::{rig::Rig, stopwatch::Stopwatch};
use generator::Generator;

/// Where the people come from, as their import says.
const SOURCE: &str = "generator";

/// Imports so many people into one store, calls among them, and answers the lines of a Markdown table.
pub(crate) fn people(
    runtime: &Runtime,
    store: &'static str,
    rig: &Rig,
    count: u64,
) -> Result<String, Box<dyn Error>> {
    let pair = runtime.block_on(rig.start())?;
    let speed = import(rig, count)?;
    let [launch, _] = &rig.launches;
    let bare = runtime.block_on(bulk::insert_again(&launch.database_url))?;
    let bare = f64_of(count) / bare.as_secs_f64();
    let mut table = String::new();
    writeln!(
        table,
        "| {store} | import, people a second | {speed:.0} | bare bulk insert {bare:.0}, ratio {:.2} |",
        speed / bare
    )?;
    // Planners decide by what they know of the tables.
    runtime.block_on(bulk::analyse(&launch.database_url))?;
    // No earlier: an import may take longer than a token lives.
    let tokens = runtime.block_on(rig.administrator())?;
    let measured = runtime.block_on(calls::measure(&rig.api, &tokens.access_token, count))?;
    for call in measured {
        writeln!(
            table,
            "| {store} | {} | {:.2} | {:.2} |",
            call.what, call.median, call.nearly_all
        )?;
    }
    drop(pair);
    Ok(table)
}

/// Imports with the verb, beside the running service; the answer is how many people a second.
fn import(rig: &Rig, count: u64) -> Result<f64, Box<dyn Error>> {
    let file = rig.path("people.jsonl");
    Generator::new().write(count, &mut BufWriter::new(File::create(&file)?))?;
    let [launch, _] = &rig.launches;
    let watch = Stopwatch::start();
    let output = launch
        .verb("import-users")
        .arg("--source")
        .arg(SOURCE)
        .arg("--file")
        .arg(&file)
        .stdin(Stdio::null())
        .output()?;
    let took = watch.elapsed();
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} refused: {text}", Service::User.name()).into());
    }
    Ok(f64_of(count) / took.as_secs_f64())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of people are far below 2^52"
)]
const fn f64_of(count: u64) -> f64 {
    count as f64
}
