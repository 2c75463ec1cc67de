//! Y7 where its condition holds: both sides of the comparison in a process whose syncs last a millisecond longer.

use std::{
    error::Error,
    fs,
    process::{Command, Stdio},
};

use tokio::runtime::Runtime;

use crate::{refresh, report::Row};

const SLOW_SYNC: &str = include_str!("../slow_sync.c");

/// Rotations on SQLite in a process of their own, on a disk that is made slow. It needs a C compiler, `cc`.
pub(crate) fn rotations() -> Result<Vec<Row>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (source, library) = (folder.path().join("slow.c"), folder.path().join("slow.so"));
    fs::write(&source, SLOW_SYNC)?;
    let compiled = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return Ok(Vec::new());
    }
    let output = Command::new(std::env::current_exe()?)
        .arg("rotations")
        .env("LD_PRELOAD", &library)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let (measured, note) = text
        .trim_end()
        .split_once('\t')
        .ok_or("the rotations on a slow disk were not measured")?;
    Ok(vec![Row {
        yardstick: "Y7",
        what: "the same where each sync is made to last a millisecond longer, for both".to_owned(),
        measured: measured.to_owned(),
        held: "≥ 8 (15)",
        note: note.to_owned(),
    }])
}

/// What the other process prints.
#[expect(clippy::print_stdout, reason = "the report reads it")]
pub(crate) fn print_rotations(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    for row in refresh::on_sqlite(runtime)? {
        println!("{}\t{}", row.measured, row.note);
    }
    Ok(())
}
