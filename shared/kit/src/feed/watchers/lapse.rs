//! When a lease has lapsed, on the clock of whoever looks.

use std::{collections::HashMap, time::Duration};

use super::table::Row;

/// When each renewal was first seen.
#[derive(Debug, Default)]
pub(super) struct Lapses(HashMap<String, Seen>);

#[derive(Debug)]
struct Seen {
    renewals: i64,
    at: Duration,
}

impl Lapses {
    /// Takes the rows as they are at a moment of the steady clock, and forgets those that are gone.
    pub(super) fn see(&mut self, rows: &[Row], now: Duration) {
        let mut last = std::mem::take(&mut self.0);
        self.0.extend(rows.iter().map(|row| {
            let known = last.remove(&row.id);
            let known = known.filter(|seen| seen.renewals == row.renewals);
            let renewals = row.renewals;
            let seen = known.unwrap_or(Seen { renewals, at: now });
            (row.id.clone(), seen)
        }));
    }

    /// Whether a lease has lapsed, and that for at least `since`.
    pub(super) fn is_lapsed(&self, row: &Row, since: Duration, now: Duration) -> bool {
        let until = |seen: &Seen| seen.at.saturating_add(row.lease).saturating_add(since);
        self.0.get(&row.id).is_some_and(|seen| now > until(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    fn row(renewals: i64) -> Row {
        Row {
            id: "w".to_owned(),
            acknowledged: Position::new("e", 1),
            lease: Duration::from_secs(7),
            renewals,
        }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_counts_from_when_its_last_renewal_was_first_seen() {
        let mut lapses = Lapses::default();
        lapses.see(&[row(1)], at(100));
        lapses.see(&[row(1)], at(105));
        assert!(!lapses.is_lapsed(&row(1), Duration::ZERO, at(107)));
        assert!(lapses.is_lapsed(&row(1), Duration::ZERO, at(108)));
        lapses.see(&[row(2)], at(108));
        assert!(!lapses.is_lapsed(&row(2), Duration::ZERO, at(115)));
        assert!(lapses.is_lapsed(&row(2), Duration::ZERO, at(116)));
        assert!(!lapses.is_lapsed(&row(2), at(60), at(116)));
        assert!(lapses.is_lapsed(&row(2), at(60), at(176)));
    }

    #[test]
    fn a_row_that_was_never_seen_has_not_lapsed() {
        let mut lapses = Lapses::default();
        assert!(!lapses.is_lapsed(&row(1), Duration::ZERO, at(1_000_000)));
        lapses.see(&[row(1)], at(0));
        lapses.see(&[], at(5));
        lapses.see(&[row(1)], at(6));
        assert!(
            !lapses.is_lapsed(&row(1), Duration::ZERO, at(12)),
            "it is a new one"
        );
    }
}
