//! The table that a run prints: each yardstick with what was measured and what is held.

use std::fmt::{self, Write as _};

use crate::ratio::Ratio;

/// One line of the report.
pub(crate) struct Row {
    /// The yardstick, such as `Y4`.
    pub(crate) yardstick: &'static str,
    /// What is compared with what.
    pub(crate) what: String,
    /// The measured figure with its unit.
    pub(crate) measured: String,
    /// What is held, and what is aimed at.
    pub(crate) held: &'static str,
    /// What stands behind the figure.
    pub(crate) note: String,
}

impl Row {
    /// A row of a ratio: how fast the subject is beside its reference.
    pub(crate) fn of_speed(
        yardstick: &'static str,
        what: impl Into<String>,
        held: &'static str,
        ratio: &Ratio,
    ) -> Self {
        Self {
            yardstick,
            what: what.into(),
            measured: format!("{:.2}", ratio.speed),
            held,
            note: note(ratio),
        }
    }

    /// A row of a ratio: how much longer the subject takes than its reference.
    pub(crate) fn of_cost(
        yardstick: &'static str,
        what: impl Into<String>,
        held: &'static str,
        ratio: &Ratio,
    ) -> Self {
        Self {
            measured: format!("{:.2}", 1.0 / ratio.speed),
            ..Self::of_speed(yardstick, what, held, ratio)
        }
    }
}

fn note(ratio: &Ratio) -> String {
    format!(
        "{:.1} µs against {:.1} µs; pairs {}, speed {:.2} to {:.2}",
        ratio.subject.as_secs_f64() * 1e6,
        ratio.reference.as_secs_f64() * 1e6,
        ratio.pairs,
        ratio.range.0,
        ratio.range.1
    )
}

/// All rows, as a Markdown table.
#[derive(Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    /// Adds rows.
    pub(crate) fn add(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.0.extend(rows);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text =
            String::from("| | what | measured | held (aim) | behind it |\n|---|---|---|---|---|\n");
        for row in &self.0 {
            writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                row.yardstick, row.what, row.measured, row.held, row.note
            )?;
        }
        f.write_str(&text)
    }
}
