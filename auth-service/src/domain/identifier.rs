//! What a user types to say who they are: a username or an e-mail address.

use unicode_normalization::UnicodeNormalization;

/// The longest identifier that is taken, in characters, and the longest that anybody has, in bytes: the longest e-mail
/// address.
const MAX_IDENTIFIER_LENGTH: usize = 254;

/// The text cannot be a username or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 254 characters without control characters")]
pub struct InvalidIdentifier;

/// A username or an e-mail address in NFC, as typed otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginIdentifier(String);

impl LoginIdentifier {
    /// Takes what a user typed.
    ///
    /// # Errors
    ///
    /// [`InvalidIdentifier`] when it is empty, too long or has control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidIdentifier> {
        // The byte bound first: normalising a megabyte is work for nothing.
        if text.len() > MAX_IDENTIFIER_LENGTH * 4 || text.chars().any(char::is_control) {
            return Err(InvalidIdentifier);
        }
        let text: String = text.nfc().collect();
        if text.trim().is_empty() || text.chars().count() > MAX_IDENTIFIER_LENGTH {
            return Err(InvalidIdentifier);
        }
        Ok(Self(text))
    }

    /// Whether anybody can have it: nobody's is longer than 254 bytes. Such a one is as good as any unknown one, and is
    /// not looked up.
    #[must_use]
    pub fn can_be_known(&self) -> bool {
        self.0.len() <= MAX_IDENTIFIER_LENGTH
    }

    /// For the look-up.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One text for all spellings that find the same user, so that case does not multiply the attempts.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.0.trim().to_lowercase().nfc().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::LoginIdentifier;

    #[test]
    fn spellings_of_one_user_have_one_canonical_form() {
        let typed = LoginIdentifier::parse("E\u{301}VA@example.org").unwrap();
        assert_eq!(typed.as_str(), "\u{c9}VA@example.org");
        assert_eq!(typed.canonical(), "\u{e9}va@example.org");
    }

    #[test]
    fn an_identifier_of_more_bytes_than_an_address_has_is_nobodys() {
        for (text, known) in [
            ("a".repeat(254), true),
            ("\u{e9}".repeat(127), true),
            // Twice as many bytes before they are put together.
            ("e\u{301}".repeat(127), true),
            ("\u{e9}".repeat(128), false),
            ("\u{e9}".repeat(254), false),
        ] {
            let identifier = LoginIdentifier::parse(&text).unwrap();
            assert_eq!(identifier.can_be_known(), known, "{text}");
        }
    }

    #[test]
    fn empty_long_and_control_characters_are_refused() {
        for text in ["", "  ", "a\0b", "a\nb", &"a".repeat(255)] {
            assert!(LoginIdentifier::parse(text).is_err(), "{text:?}");
        }
    }
}
