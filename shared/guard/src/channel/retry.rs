//! When and how soon a call is tried again.

use std::time::Duration;

use http::HeaderMap;

/// How often a call is sent at most.
pub(super) const MAX_TRIES: u32 = 3;

/// The middle of the wait before the second try; it doubles with every further one.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The wait before the try after `tries` of them, between half and one and a half of the middle.
///
/// `chance` is random, from the whole range.
pub(super) fn backoff(tries: u32, chance: u16) -> Duration {
    let middle = FIRST_WAIT * 2_u32.saturating_pow(tries.saturating_sub(1));
    middle / 2 + middle * u32::from(chance) / u32::from(u16::MAX)
}

/// What the server says about trying again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    /// Nothing.
    None,
    /// Not to.
    Never,
    /// After this time.
    After(Duration),
}

/// Reads `grpc-retry-pushback-ms`: a negative or unreadable value means not to try again.
pub(super) fn pushback(headers: &HeaderMap) -> Pushback {
    let Some(value) = headers.get("grpc-retry-pushback-ms") else {
        return Pushback::None;
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .map_or(Pushback::Never, |ms| {
            Pushback::After(Duration::from_millis(ms))
        })
}

/// A random number for jitter; without randomness, no jitter. From the operating system: the generator of the
/// cryptographic library may need a tenth of a second for its first number, in the way of the first connection.
#[expect(
    clippy::disallowed_methods,
    reason = "jitter spreads load and decides nothing: the functions that use it take it as a parameter"
)]
pub(crate) fn chance() -> u16 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u16::from_ne_bytes(bytes),
        Err(_) => u16::MAX / 2,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn waits_grow_and_are_spread() {
        assert_eq!(backoff(1, 0), Duration::from_millis(25));
        assert_eq!(backoff(1, u16::MAX), Duration::from_millis(75));
        assert_eq!(backoff(2, 0), Duration::from_millis(50));
        assert_eq!(backoff(2, u16::MAX), Duration::from_millis(150));
    }

    #[test]
    fn pushback_is_read_as_grpc_defines_it() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static(value));
            pushback(&headers)
        };
        assert_eq!(pushback(&HeaderMap::new()), Pushback::None);
        assert_eq!(read("120"), Pushback::After(Duration::from_millis(120)));
        assert_eq!(read("-1"), Pushback::Never);
        assert_eq!(read("soon"), Pushback::Never);
    }
}
