//! What is wrong with a value: one sentence a kind, safe to show to the caller, never repeating the value.

use thiserror::Error;

/// Why a value was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Nothing was given where something must be.
    #[error("must not be empty")]
    Empty,
    /// Fewer characters than allowed.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// More characters than allowed.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// A character that no text may have, such as NUL or a line break.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// The value does not follow its format, which the text names.
    #[error("{0}")]
    Format(&'static str),
    /// An element of a list repeats an earlier one.
    #[error("must not repeat an earlier element")]
    Duplicate,
    /// A list has more elements than allowed.
    #[error("must have at most {0} elements")]
    TooMany(usize),
}
