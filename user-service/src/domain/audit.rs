//! What the audit log is searched by.

use super::{problem::Problem, text::text_type};

text_type! {
    /// An id, a name or an action as the audit log has it: 1 to 100 printable ASCII characters.
    AuditKey
}

impl AuditKey {
    /// The longest, in characters: that of a name.
    const MAX: usize = 100;

    /// Reads what is searched for. What was never written is no error: it finds nothing.
    ///
    /// # Errors
    /// When it is empty, too long or not printable ASCII.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        if raw.len() > Self::MAX {
            return Err(Problem::TooLong(Self::MAX));
        }
        if !raw.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::Format(
                "must consist of printable ASCII characters",
            ));
        }
        Ok(Self(raw.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_printable_ascii() {
        assert!(AuditKey::parse("CreateUser").is_ok());
        assert!(AuditKey::parse("create-admin").is_ok());
        assert_eq!(AuditKey::parse(""), Err(Problem::Empty));
        assert_eq!(
            AuditKey::parse(&"a".repeat(101)),
            Err(Problem::TooLong(100))
        );
        for raw in ["a b", "a\0", "ä"] {
            assert!(
                matches!(AuditKey::parse(raw), Err(Problem::Format(_))),
                "{raw:?}"
            );
        }
    }
}
