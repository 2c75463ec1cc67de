//! Among many people: what calls take, and how fast an import is beside a bare bulk insert of the same rows.
//!
//! The people are made by a seed, so that every run has the same ones.

pub(crate) mod bulk;
mod calls;
mod generator;
pub(crate) mod growth;

use std::{error::Error, fmt::Write as _, fs::File, io::BufWriter, process::Stdio};

use identity_dev::service::Service;
use tokio::runtime::Runtime;

use crate::{report::Row, rig::Rig, stopwatch::Stopwatch};
use generator::Generator;

/// Where the people come from, as their import says.
const SOURCE: &str = "generator";

/// The few beside whom the many are seen.
const FEW: u64 = 1_000;
/// A page deep in the list.
const DEEP_PAGE: u64 = 10_000;

/// What was found on one store.
pub(crate) struct Found {
    /// The lines of a Markdown table: what calls take.
    pub(crate) table: String,
    /// What a call costs among many beside what it costs among few.
    pub(crate) growth: Vec<Row>,
}

/// Imports so many people into one store and calls among them, and among a thousand in another one.
pub(crate) fn people(
    runtime: &Runtime,
    store: &'static str,
    [rig, small]: [&Rig; 2],
    count: u64,
) -> Result<Found, Box<dyn Error>> {
    let pairs = runtime
        .block_on(async { Ok::<_, Box<dyn Error>>([rig.start().await?, small.start().await?]) })?;
    let speed = import(rig, count)?;
    import(small, FEW)?;
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
    for rig in [rig, small] {
        let [launch, _] = &rig.launches;
        runtime.block_on(bulk::analyse(&launch.database_url))?;
    }
    // No earlier: an import may take longer than a token lives.
    let side = |rig| runtime.block_on(growth::Side::of(rig, DEEP_PAGE));
    let (many, few) = (side(rig)?, side(small)?);
    let growth = vec![
        growth::checks(runtime, store, [&many, &few], count),
        growth::pages(runtime, store, &many, count),
    ];
    let measured = runtime.block_on(calls::measure(&many, count))?;
    for call in measured {
        writeln!(
            table,
            "| {store} | {} | {:.2} | {:.2} |",
            call.what, call.median, call.nearly_all
        )?;
    }
    drop(pairs);
    Ok(Found { table, growth })
}

/// Imports with the verb, beside the running service; the answer is how many people a second.
pub(crate) fn import(rig: &Rig, count: u64) -> Result<f64, Box<dyn Error>> {
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
