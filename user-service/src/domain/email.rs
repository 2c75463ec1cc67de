//! E-mail addresses: unique without regard to case, answered as written.

use email_address::{EmailAddress, Options};
use unicode_normalization::UnicodeNormalization;

use super::{problem::Problem, text::text_type};

text_type! {
    /// An address of RFC 5321 in NFC, at most 254 characters.
    Email
}

impl Email {
    /// The longest address, in characters and in bytes.
    pub const MAX: usize = 254;

    /// Reads an address, in NFC; white space around it is an error.
    ///
    /// # Errors
    /// When it is empty, too long or no address.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        if raw.len() > Self::MAX {
            return Err(Problem::TooLong(Self::MAX));
        }
        if raw.chars().any(char::is_control) {
            return Err(Problem::ControlCharacter);
        }
        let text: String = raw.nfc().collect();
        if text.len() > Self::MAX {
            return Err(Problem::TooLong(Self::MAX));
        }
        let options = Options::default()
            .without_display_text()
            .without_domain_literal();
        EmailAddress::parse_with_options(&text, options)
            .map_err(|_| Problem::Format("must be an e-mail address such as ada@example.org"))?;
        Ok(Self(text))
    }

    /// What makes it unique: the address in lower case.
    #[must_use]
    pub fn key(&self) -> String {
        email_key(&self.0)
    }
}

/// The form under which an address is looked up, also of text that may be none.
#[must_use]
pub fn email_key(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

super::text::stored_type!(Email);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_kept_and_does_not_count() {
        let email = Email::parse("Ada@Example.ORG").unwrap();
        assert_eq!(email.as_str(), "Ada@Example.ORG");
        assert_eq!(email.key(), "ada@example.org");
    }

    #[test]
    fn composed_and_decomposed_addresses_are_one() {
        let composed = Email::parse("zoë@example.org").unwrap();
        let decomposed = Email::parse("zoe\u{308}@example.org").unwrap();
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert_eq!(Email::parse(""), Err(Problem::Empty));
        assert_eq!(
            Email::parse("a\0@example.org"),
            Err(Problem::ControlCharacter)
        );
        let long = format!("{}@example.org", "a".repeat(250));
        assert_eq!(Email::parse(&long), Err(Problem::TooLong(254)));
        for raw in [
            "nobody",
            "@example.org",
            "a@",
            "Ada <ada@example.org>",
            "a@[127.0.0.1]",
            " a@example.org",
            "a@@b.org",
        ] {
            assert!(
                matches!(Email::parse(raw), Err(Problem::Format(_))),
                "{raw:?}"
            );
        }
    }
}
