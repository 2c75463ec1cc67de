//! Free text: canonical first, then checked, so that one text has one stored form.

use unicode_normalization::UnicodeNormalization;

use super::problem::Problem;

/// Declares a newtype over text whose content was checked by its `parse`.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, owned.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use text_type;

/// Lets the store make the newtypes again from what it holds, without checking anew.
macro_rules! stored_type {
    ($($name:ident),+) => {$(
        impl $name {
            /// Takes a text that was checked before it was stored.
            pub(crate) const fn stored(text: String) -> Self {
                Self(text)
            }
        }
    )+};
}
pub(crate) use stored_type;

/// The NFC form without surrounding white space, of at most `max` characters and without control characters.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn canonical(raw: &str, max: usize) -> Result<String, Problem> {
    // NFC at most triples a text, so anything longer than this is too long in every form.
    if raw.len() > max.saturating_mul(12) {
        return Err(Problem::TooLong(max));
    }
    if raw.chars().any(char::is_control) {
        return Err(Problem::ControlCharacter);
    }
    let text: String = raw.trim().nfc().collect();
    if text.chars().count() > max {
        return Err(Problem::TooLong(max));
    }
    Ok(text)
}

/// The text with the full-width forms of ASCII as ASCII.
pub(super) fn half_width(raw: &str) -> String {
    raw.chars()
        .map(|character| match character {
            '\u{ff01}'..='\u{ff5e}' => {
                char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character)
            }
            other => other,
        })
        .collect()
}

text_type! {
    /// A first or last name: 1 to 100 characters.
    PersonName
}

impl PersonName {
    /// The longest name, in characters.
    pub const MAX: usize = 100;

    /// Reads a name, trimmed and in NFC.
    ///
    /// # Errors
    /// When it is empty, too long, or has control characters.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let text = canonical(raw, Self::MAX)?;
        if text.is_empty() {
            return Err(Problem::Empty);
        }
        Ok(Self(text))
    }
}

text_type! {
    /// What a role, permission or type is for: at most 500 characters, perhaps none.
    Description
}

impl Description {
    /// The longest description, in characters.
    pub const MAX: usize = 500;

    /// Reads a description, trimmed and in NFC.
    ///
    /// # Errors
    /// When it is too long or has control characters.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        canonical(raw, Self::MAX).map(Self)
    }
}

text_type! {
    /// Why a status was changed: at most 500 characters, perhaps none.
    Reason
}

impl Reason {
    /// The longest reason, in characters.
    pub const MAX: usize = 500;

    /// Reads a reason, trimmed and in NFC.
    ///
    /// # Errors
    /// When it is too long or has control characters.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        canonical(raw, Self::MAX).map(Self)
    }
}

stored_type!(PersonName, Description, Reason);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_composed() {
        let name = PersonName::parse("  Zoe\u{308} ").unwrap();
        assert_eq!(name.as_str(), "Zoë");
    }

    #[test]
    fn a_name_of_white_space_is_empty() {
        assert_eq!(PersonName::parse("   "), Err(Problem::Empty));
    }

    #[test]
    fn control_characters_are_refused_wherever_they_stand() {
        for raw in ["\0", "a\nb", "a\u{7f}", "a\u{85}"] {
            assert_eq!(PersonName::parse(raw), Err(Problem::ControlCharacter));
            assert_eq!(Description::parse(raw), Err(Problem::ControlCharacter));
            assert_eq!(Reason::parse(raw), Err(Problem::ControlCharacter));
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(PersonName::parse(&"ß".repeat(100)).is_ok());
        assert_eq!(
            PersonName::parse(&"ß".repeat(101)),
            Err(Problem::TooLong(100))
        );
        assert!(Description::parse(&"日".repeat(500)).is_ok());
        assert_eq!(
            Reason::parse(&"x".repeat(100_000)),
            Err(Problem::TooLong(500))
        );
    }
}
