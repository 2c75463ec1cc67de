//! What a watcher says, and how it begins.

use std::{ops::RangeInclusive, time::Duration};

use crate::{outbox::Cursor, violations::Violations};

/// The shortest and the longest lease.
const LEASES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);
/// The longest name of a watcher, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// What a watcher says.
#[derive(Debug)]
pub enum Heard<W> {
    /// It begins.
    Start(Start<W>),
    /// It asks for a pong with this nonce.
    Ping(u64),
    /// It has taken everything up to here.
    Acknowledge(Option<Cursor>),
    /// A message of a later version, which asks for nothing that is promised here.
    Unknown,
}

/// How a watcher begins.
#[derive(Debug)]
pub struct Start<W> {
    /// Where it goes on; none means with a snapshot.
    pub cursor: Option<Cursor>,
    /// Which watcher it is, wherever and however often it begins.
    pub id: String,
    /// Its name in logs.
    pub name: String,
    /// How old its knowledge may be before it stops deciding by itself.
    pub max_staleness: Duration,
    /// Which changes it wants.
    pub wanted: W,
}

impl<W> Start<W> {
    /// A start of parts as they stand on the wire, the id and the name among them, with what is wrong with them.
    pub fn read(
        violations: &mut Violations,
        cursor: Option<Cursor>,
        max_staleness: Option<prost_types::Duration>,
        [id, name]: [String; 2],
        wanted: W,
    ) -> Self {
        let max_staleness = max_staleness
            .and_then(|staleness| Duration::try_from(staleness).ok())
            .filter(|staleness| LEASES.contains(staleness));
        if max_staleness.is_none() {
            violations.add("start.max_staleness", "must be 100 ms to 5 min");
        }
        if id.is_empty() || !is_name(&id) {
            violations.add(
                "start.watcher_id",
                "must be 1 to 64 characters of a-z, 0-9, '.', '_', ':' and '-'",
            );
        }
        if !is_name(&name) {
            violations.add(
                "start.watcher_name",
                "must be at most 64 characters of a-z, 0-9, '.', '_', ':' and '-'",
            );
        }
        Self {
            cursor,
            id,
            name,
            max_staleness: max_staleness.unwrap_or_default(),
            wanted,
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:-".contains(&byte);
    name.len() <= MAX_NAME_LENGTH && name.bytes().all(is_valid)
}
