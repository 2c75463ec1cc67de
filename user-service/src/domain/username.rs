//! Usernames: unique without regard to case and among their look-alikes, answered as written.

use super::{
    look_alike,
    problem::Problem,
    text::{half_width, text_type},
};

text_type! {
    /// 3 to 64 ASCII letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit.
    ///
    /// It stays ASCII: a username is typed on any keyboard and read by strangers, and no other alphabet is free of
    /// letters that look like another's. What a person is really called stands in the profile, in any script.
    Username
}

impl Username {
    /// The fewest characters.
    pub const MIN: usize = 3;
    /// The most characters.
    pub const MAX: usize = 64;

    /// Reads a username; full-width forms, as keyboards of East Asia make them, become ASCII (RFC 8265, 3.3).
    ///
    /// # Errors
    /// When it breaks the rule above.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        // A full-width character has three bytes.
        if raw.len() > Self::MAX * 3 {
            return Err(Problem::TooLong(Self::MAX));
        }
        let raw = half_width(raw);
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
            _ => Ok(Self(raw)),
        }
    }

    /// What makes it unique: the name in lower case.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// What it shares with the names that look like it, and no two users have in common: one, or two of a name with a
    /// capital `I`, which is read as an `i` and looks like an `l`. In order, each once.
    #[must_use]
    pub fn skeletons(&self) -> Vec<String> {
        let mut skeletons = vec![
            look_alike::skeleton(&self.0),
            look_alike::skeleton(&self.key()),
        ];
        skeletons.sort_unstable();
        skeletons.dedup();
        skeletons
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
    fn full_width_forms_are_the_same_name() {
        assert_eq!(
            Username::parse("\u{ff21}da\u{ff0e}\u{ff11}"),
            Username::parse("Ada.1")
        );
        // An address is no name, in whatever width its sign is written.
        assert!(matches!(
            Username::parse("ada\u{ff20}example.org"),
            Err(Problem::Format(_))
        ));
    }

    #[test]
    fn a_capital_i_is_read_in_two_ways() {
        let skeletons = |raw| Username::parse(raw).unwrap().skeletons();
        assert_eq!(skeletons("Ian_Lee"), ["ian.lee", "lan.lee"]);
        assert_eq!(skeletons("ian.lee"), ["ian.lee"]);
        assert_eq!(skeletons("lan.lee"), ["lan.lee"]);
    }

    #[test]
    fn what_breaks_the_rule_is_refused_with_its_reason() {
        assert_eq!(Username::parse(""), Err(Problem::Empty));
        assert_eq!(Username::parse("ab"), Err(Problem::TooShort(3)));
        for long in [65, 100_000] {
            assert_eq!(
                Username::parse(&"a".repeat(long)),
                Err(Problem::TooLong(64))
            );
        }
        assert_eq!(Username::parse("ada\0"), Err(Problem::ControlCharacter));
        for raw in ["аdа", "ada lovelace", "ada@x", ".ada", "ada-", "_ada"] {
            assert!(
                matches!(Username::parse(raw), Err(Problem::Format(_))),
                "{raw:?}"
            );
        }
    }
}
