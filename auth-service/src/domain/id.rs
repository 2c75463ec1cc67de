//! Ids of users, sessions and challenges: opaque text that never is a secret.

use std::fmt;

/// The longest id that is looked up at all, in characters.
const MAX_ID_LENGTH: usize = 64;

/// The text cannot be an id: it is empty, too long, or not of `a-z` and `0-9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 characters of a-z and 0-9")]
pub struct InvalidId;

fn parse(text: &str) -> Result<String, InvalidId> {
    let valid = (1..=MAX_ID_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if valid {
        Ok(text.to_owned())
    } else {
        Err(InvalidId)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Takes text that has the shape of an id.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] when it has not.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }

            /// Takes an id that this system made itself: from its database, its peer or its generator.
            #[must_use]
            pub fn trusted(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as owned text.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A user, as user-service names it: the `sub` of access tokens.
    UserId
}
id! {
    /// A session: the `sid` of access tokens.
    SessionId
}
id! {
    /// The public part of an opaque token, by which its row is found.
    TokenId
}

#[cfg(test)]
mod tests {
    use super::{InvalidId, UserId};

    #[test]
    fn an_id_is_short_lower_case_text() {
        assert!(UserId::parse("c1a2b3").is_ok());
        for text in ["", "A", "a b", "a\0", "é", &"a".repeat(65)] {
            assert_eq!(UserId::parse(text), Err(InvalidId), "{text:?}");
        }
    }
}
