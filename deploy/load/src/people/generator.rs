//! People out of a seed.

use std::io::{self, Write};

use serde_json::json;

const FIRST: [&str; 24] = [
    "Ada",
    "Alan",
    "Barbara",
    "Carlos",
    "Dagny",
    "Edsger",
    "Frances",
    "Grace",
    "Hedy",
    "Ivan",
    "Joan",
    "Katherine",
    "Leslie",
    "Margaret",
    "Niklaus",
    "Olga",
    "Peter",
    "Radia",
    "Sophie",
    "Tim",
    "Ursula",
    "Vint",
    "Wangari",
    "Zoe",
];
const LAST: [&str; 24] = [
    "Allen",
    "Backus",
    "Cerf",
    "Dijkstra",
    "Engelbart",
    "Floyd",
    "Goldberg",
    "Hopper",
    "Ivanova",
    "Johnson",
    "Knuth",
    "Lovelace",
    "Moore",
    "Naur",
    "Ousterhout",
    "Perlman",
    "Quine",
    "Ritchie",
    "Sutherland",
    "Turing",
    "Ulam",
    "Vaughan",
    "Wirth",
    "Young",
];
/// Any number but zero; the same in every run.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes people one after another.
pub(super) struct Generator(u64);

impl Generator {
    pub(super) const fn new() -> Self {
        Self(SEED)
    }

    /// A number below a bound, by xorshift.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        let index = self.below(texts.len() as u64);
        usize::try_from(index).map_or("", |index| texts[index])
    }

    /// Writes people as JSON Lines: one of ten is a viewer, one of a thousand an editor, one of fifty suspended.
    pub(super) fn write(&mut self, count: u64, out: &mut impl Write) -> io::Result<()> {
        for number in 0..count {
            let (first, last) = (self.one_of(&FIRST), self.one_of(&LAST));
            let (low_first, low_last) = (first.to_lowercase(), last.to_lowercase());
            let mut roles = Vec::new();
            if self.below(10) == 0 {
                roles.push("viewer");
            }
            if self.below(1_000) == 0 {
                roles.push("editor");
            }
            let status = if self.below(50) == 0 { "suspended" } else { "" };
            let person = json!({
                "external_id": number.to_string(),
                "username": format!("{low_first}.{low_last}.{number}"),
                "email": format!("{low_first}.{number}@{low_last}.example"),
                "first_name": first,
                "last_name": last,
                "roles": roles,
                "status": status,
            });
            writeln!(out, "{person}")?;
        }
        out.flush()
    }
}
