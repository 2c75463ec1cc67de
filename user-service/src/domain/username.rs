//! Usernames: unique without regard to case, answered as written.

use super::{problem::Problem, text::text_type};

text_type! {
    /// 3 to 64 ASCII letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit.
    Username
}

impl Username {
    /// The fewest characters.
    pub const MIN: usize = 3;
    /// The most characters.
    pub const MAX: usize = 64;

    /// Reads a username.
    ///
    /// # Errors
    /// When it breaks the rule above.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let bytes = raw.as_bytes();
        match (bytes.first(), bytes.last()) {
            (None, _) | (_, None) => Err(Problem::Empty),
            _ if bytes.len() > Self::MAX => Err(Problem::TooLong(Self::MAX)),
            _ if raw.chars().any(char::is_control) => Err(Problem::ControlCharacter),
            _ if !bytes.iter().copied().all(inner) => Err(Problem::Format(
                "must consist of the letters A-Z and a-z, digits, '.', '_' and '-'",
            )),
            _ if bytes.len() < Self::MIN => Err(Problem::TooShort(Self::MIN)),
            (Some(first), Some(last))
                if !first.is_ascii_alphanumeric() || !last.is_ascii_alphanumeric() =>
            {
                Err(Problem::Format("must begin and end with a letter or digit"))
            }
            _ => Ok(Self(raw.to_owned())),
        }
    }

    /// What makes it unique: the name in lower case.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

super::text::stored_type!(Username);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_kept_and_does_not_count() {
        let name = Username::parse("Ada.Lovelace").unwrap();
        assert_eq!(name.as_str(), "Ada.Lovelace");
        assert_eq!(name.key(), "ada.lovelace");
    }

    #[test]
    fn what_breaks_the_rule_is_refused_with_its_reason() {
        assert_eq!(Username::parse(""), Err(Problem::Empty));
        assert_eq!(Username::parse("ab"), Err(Problem::TooShort(3)));
        assert_eq!(Username::parse(&"a".repeat(65)), Err(Problem::TooLong(64)));
        assert_eq!(Username::parse("ada\0"), Err(Problem::ControlCharacter));
        for raw in ["аdа", "ada lovelace", "ada@x", ".ada", "ada-", "_ada"] {
            assert!(
                matches!(Username::parse(raw), Err(Problem::Format(_))),
                "{raw:?}"
            );
        }
    }
}
