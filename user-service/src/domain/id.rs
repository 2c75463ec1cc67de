//! Ids: opaque text, never a secret and never used again.

use super::problem::Problem;

/// The longest id, in characters.
const MAX: usize = 64;

/// Declares an id type.
macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident) => {
        super::text::text_type! { $(#[$meta])* $name }

        impl $name {
            /// Reads an id: 1 to 64 characters of `a-z` and `0-9`.
            ///
            /// # Errors
            /// When it cannot be an id at all; whether it names something is another question.
            pub fn parse(raw: &str) -> Result<Self, Problem> {
                check(raw).map(|()| Self(raw.to_owned()))
            }

            /// Takes an id that was just made.
            #[must_use]
            pub const fn new(fresh: String) -> Self {
                Self(fresh)
            }
        }
    };
}

id_type! {
    /// The id of a user.
    UserId
}
id_type! {
    /// The id of a type of users.
    UserTypeId
}
id_type! {
    /// The id of a role.
    RoleId
}
id_type! {
    /// The id of a permission.
    PermissionId
}
id_type! {
    /// The id of a subscription.
    SubscriptionId
}

fn check(raw: &str) -> Result<(), Problem> {
    if raw.is_empty() {
        return Err(Problem::Empty);
    }
    if raw.len() > MAX {
        return Err(Problem::TooLong(MAX));
    }
    if raw
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        Ok(())
    } else {
        Err(Problem::Format("must consist of a-z and 0-9"))
    }
}

super::text::stored_type!(UserId, UserTypeId, RoleId, PermissionId, SubscriptionId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lower_case_letters_and_digits() {
        assert_eq!(UserId::parse("k3f9").unwrap().as_str(), "k3f9");
        assert_eq!(UserId::parse(""), Err(Problem::Empty));
        assert_eq!(RoleId::parse(&"a".repeat(65)), Err(Problem::TooLong(64)));
        for raw in ["A", "a-b", "a\0", "ä", "a b"] {
            assert!(PermissionId::parse(raw).is_err(), "{raw:?}");
        }
    }
}
