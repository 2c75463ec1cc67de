//! Names of roles, permissions, user types and features: lower case, so that one name has one spelling.

use super::problem::Problem;

/// The longest name, in characters.
const MAX: usize = 100;

/// Declares a name type.
macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident) => {
        super::text::text_type! { $(#[$meta])* $name }

        impl $name {
            /// Reads a name: 1 to 100 of `a-z`, `0-9`, `.`, `_`, `:` and `-`, beginning with a letter.
            ///
            /// # Errors
            /// When it breaks the rule.
            pub fn parse(raw: &str) -> Result<Self, Problem> {
                check(raw).map(|()| Self(raw.to_owned()))
            }
        }
    };
}

name_type! {
    /// The name of a role, such as `editor`.
    RoleName
}
name_type! {
    /// The name of a permission, such as `users.read`.
    PermissionName
}
name_type! {
    /// The name of a type of users, such as `person`.
    TypeName
}

name_type! {
    /// The name of what a plan entitles to, such as `reports.export`.
    FeatureName
}

fn check(raw: &str) -> Result<(), Problem> {
    let inner = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'.' | b'_' | b':' | b'-')
    };
    match raw.bytes().next() {
        None => Err(Problem::Empty),
        _ if raw.len() > MAX => Err(Problem::TooLong(MAX)),
        _ if raw.chars().any(char::is_control) => Err(Problem::ControlCharacter),
        _ if !raw.bytes().all(inner) => Err(Problem::Format(
            "must consist of a-z, 0-9, '.', '_', ':' and '-'",
        )),
        Some(first) if !first.is_ascii_lowercase() => {
            Err(Problem::Format("must begin with a letter"))
        }
        Some(_) => Ok(()),
    }
}

super::text::stored_type!(RoleName, PermissionName, TypeName, FeatureName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        assert!(PermissionName::parse("invoices.read").is_ok());
        assert!(RoleName::parse("team:ops-1_x").is_ok());
        assert_eq!(TypeName::parse(""), Err(Problem::Empty));
        assert_eq!(
            RoleName::parse(&"a".repeat(101)),
            Err(Problem::TooLong(100))
        );
        assert_eq!(RoleName::parse("a\0"), Err(Problem::ControlCharacter));
        for raw in ["Editor", "1st", "a b", "é", "a,b", ".a"] {
            assert!(
                matches!(RoleName::parse(raw), Err(Problem::Format(_))),
                "{raw:?}"
            );
        }
    }
}
