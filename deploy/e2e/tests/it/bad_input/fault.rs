//! What can be wrong with a field, and where nothing of the kind may ever be accepted.

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

/// What is wrong with the one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Empty,
    TooLong,
    /// Few enough characters for many a field, in twice as many bytes.
    LongMultibyte,
    Nul,
    Control,
    Reordering,
    UnknownEnumValue,
    Negative,
    /// The greatest number that the wire can hold.
    Greatest,
    /// A message that is not there.
    Absent,
    UnknownPath,
    RepeatedPath,
    ManyPaths,
    /// A time or duration below zero.
    BelowZero,
    /// A time or duration that none of the calendar can hold.
    BeyondTime,
}

impl Fault {
    /// The faults of a text.
    pub(super) const OF_TEXT: [Self; 6] = [
        Self::Empty,
        Self::TooLong,
        Self::LongMultibyte,
        Self::Nul,
        Self::Control,
        Self::Reordering,
    ];

    /// The faults of a mask.
    pub(super) const OF_MASK: [Self; 3] = [Self::UnknownPath, Self::RepeatedPath, Self::ManyPaths];

    /// The faults of a duration and of a time.
    pub(super) const OF_TIME: [Self; 2] = [Self::BelowZero, Self::BeyondTime];

    pub(super) fn text(self) -> String {
        match self {
            Self::TooLong => "a".repeat(20_000),
            Self::LongMultibyte => "é".repeat(200),
            Self::Nul => "ada\0lovelace".to_owned(),
            Self::Control => "ada\u{1b}[2Jlovelace".to_owned(),
            // Shown from right to left by whoever prints it.
            Self::Reordering => "ada\u{202e}ecalevol".to_owned(),
            _ => String::new(),
        }
    }

    /// A mask for a message of which `known` is a field.
    pub(super) fn mask(self, message: MessageDescriptor, known: &str) -> Value {
        let paths: Vec<String> = match self {
            Self::RepeatedPath => vec![known.to_owned(); 2],
            Self::ManyPaths => (0..10_000).map(|at| format!("{known}_{at}")).collect(),
            _ => vec!["no_such_field".to_owned()],
        };
        let paths = paths.into_iter().map(Value::String).collect();
        let mut mask = DynamicMessage::new(message);
        mask.set_field_by_name("paths", Value::List(paths));
        Value::Message(mask)
    }

    /// A duration or a time.
    pub(super) fn time(self, message: MessageDescriptor) -> Value {
        let (seconds, nanos) = match self {
            Self::BeyondTime => (i64::MAX, i32::MAX),
            _ => (-1, 0),
        };
        let mut time = DynamicMessage::new(message);
        time.set_field_by_name("seconds", Value::I64(seconds));
        time.set_field_by_name("nanos", Value::I32(nanos));
        Value::Message(time)
    }

    /// Whether no value of this kind may ever be accepted in this field.
    pub(super) fn is_always_wrong(self, field: &str) -> bool {
        // A cursor that the server does not know, whatever it looks like, is answered with a snapshot.
        if field.starts_with("start.cursor.") {
            return false;
        }
        match self {
            Self::TooLong
            | Self::UnknownEnumValue
            | Self::Negative
            | Self::UnknownPath
            | Self::ManyPaths
            | Self::BelowZero => true,
            // Every login is younger than that.
            Self::BeyondTime => !field.ends_with("max_age"),
            // A password is whatever its owner typed.
            Self::Nul | Self::Control => !field.ends_with("password"),
            Self::Absent => REQUIRED.contains(&field),
            Self::Empty
            | Self::LongMultibyte
            | Self::Reordering
            | Self::Greatest
            | Self::RepeatedPath => false,
        }
    }
}

/// The messages in requests without which nothing can be done.
const REQUIRED: [&str; 7] = [
    "user",
    "user_type",
    "role",
    "permission",
    "password_change",
    "start",
    "start.max_staleness",
];
