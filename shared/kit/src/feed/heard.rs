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
    /// Its name in logs.
    pub watcher: String,
    /// Which changes it wants.
    pub wanted: W,
}

impl<W> Start<W> {
    /// A start of parts as they stand on the wire, with what is wrong with them.
    pub fn read(
        violations: &mut Violations,
        cursor: Option<Cursor>,
        max_staleness: Option<prost_types::Duration>,
        watcher: String,
        wanted: W,
    ) -> Self {
        let lease = max_staleness.and_then(|lease| Duration::try_from(lease).ok());
        if !lease.is_some_and(|lease| LEASES.contains(&lease)) {
            violations.add("start.max_staleness", "must be 100 ms to 5 min");
        }
        if !is_name(&watcher) {
            violations.add(
                "start.watcher_name",
                "must be at most 64 characters of a-z, 0-9, '.', '_', ':' and '-'",
            );
        }
        Self {
            cursor,
            watcher,
            wanted,
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:-".contains(&byte);
    name.len() <= MAX_NAME_LENGTH && name.bytes().all(is_valid)
}
