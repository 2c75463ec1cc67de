//! Identifiers that callers choose: ids of requests and operations, and what a person types to log in.

use super::{
    email::{Email, email_key},
    problem::Problem,
    text::{half_width, text_type},
};

/// The longest identifier of a caller, in characters.
const MAX: usize = 64;

text_type! {
    /// Names one request of one caller, so that its repetition is known: 1 to 64 printable ASCII characters.
    RequestId
}

impl RequestId {
    /// Reads a request id; empty means that the call is not to be remembered.
    ///
    /// # Errors
    /// When it is too long or not printable ASCII.
    pub fn parse(raw: &str) -> Result<Option<Self>, Problem> {
        if raw.is_empty() {
            return Ok(None);
        }
        printable(raw).map(|()| Some(Self(raw.to_owned())))
    }
}

text_type! {
    /// Names one change of a password hash: 1 to 64 printable ASCII characters.
    OperationId
}

impl OperationId {
    /// Reads an operation id.
    ///
    /// # Errors
    /// When it is empty, too long or not printable ASCII.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        printable(raw).map(|()| Self(raw.to_owned()))
    }
}

fn printable(raw: &str) -> Result<(), Problem> {
    if raw.len() > MAX {
        return Err(Problem::TooLong(MAX));
    }
    if raw
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
    {
        Ok(())
    } else {
        Err(Problem::Format(
            "must consist of printable ASCII characters",
        ))
    }
}

/// What somebody typed to say who they are, in the form under which it is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginKey {
    /// The key of a username.
    Username(String),
    /// The key of an e-mail address: anything with an `@`, which no username has.
    Email(String),
}

impl LoginKey {
    /// What the longest text can take: a character has at most four bytes.
    const MAX_BYTES: usize = Email::MAX * 4;

    /// Reads what was typed. Text that nobody can be called is no error: it finds nobody.
    ///
    /// # Errors
    /// When it is empty, longer than 254 characters, or has control characters.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        // The bytes first: nobody is found by a megabyte, and counting it is work for nothing.
        if raw.len() > Self::MAX_BYTES || raw.chars().count() > Email::MAX {
            return Err(Problem::TooLong(Email::MAX));
        }
        if raw.chars().any(char::is_control) {
            return Err(Problem::ControlCharacter);
        }
        let text = half_width(raw);
        Ok(if text.contains('@') {
            Self::Email(email_key(&text))
        } else {
            Self::Username(text.to_lowercase())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::username::Username;

    #[test]
    fn a_login_is_an_address_when_it_has_an_at_sign() {
        assert_eq!(LoginKey::parse("Ada"), Ok(LoginKey::Username("ada".into())));
        assert_eq!(
            LoginKey::parse("Ada@X.org"),
            Ok(LoginKey::Email("ada@x.org".into()))
        );
        assert_eq!(LoginKey::parse("a\0"), Err(Problem::ControlCharacter));
    }

    #[test]
    fn a_login_is_one_users_name_or_one_users_address_and_never_both() {
        for raw in ["ada", "Ada.Lovelace", "a-_-9", "\u{ff21}da"] {
            let key = Username::parse(raw).unwrap().key();
            assert_eq!(LoginKey::parse(raw), Ok(LoginKey::Username(key)), "{raw}");
            assert!(Email::parse(raw).is_err(), "{raw}");
        }
        for raw in [
            "ada@x.org",
            "A@exämple.org",
            "\"a@b\"@x.org",
            "a\u{ff20}x.org",
            "a@x.org.",
        ] {
            let key = Email::parse(raw).unwrap().key();
            assert_eq!(LoginKey::parse(raw), Ok(LoginKey::Email(key)), "{raw}");
            assert!(Username::parse(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_login_is_too_long_by_its_characters_and_not_by_its_bytes() {
        for text in ["a", "é", "🦀"] {
            let longest = text.repeat(254);
            assert_eq!(
                LoginKey::parse(&longest),
                Ok(LoginKey::Username(longest.clone()))
            );
            assert_eq!(
                LoginKey::parse(&text.repeat(255)),
                Err(Problem::TooLong(254))
            );
        }
    }

    #[test]
    fn ids_of_callers_are_short_printable_ascii() {
        assert_eq!(RequestId::parse(""), Ok(None));
        assert!(RequestId::parse("a b-1").unwrap().is_some());
        assert_eq!(OperationId::parse(""), Err(Problem::Empty));
        assert_eq!(
            OperationId::parse(&"a".repeat(65)),
            Err(Problem::TooLong(64))
        );
        assert!(OperationId::parse("ä").is_err());
        assert!(RequestId::parse("a\0").is_err());
    }
}
