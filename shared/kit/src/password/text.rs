//! Passwords as text: what may be set, and what was typed.

use std::fmt;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::blocklist::{self, Weakness};

/// The fewest code points of a new password, which is the only factor until others exist.
const MIN_CODE_POINTS: usize = 15;
/// The most code points of a new password.
const MAX_CODE_POINTS: usize = 256;
/// The most bytes of any password, after normalisation.
const MAX_BYTES: usize = 1024;
/// The most bytes that are normalised at all: composing shrinks real text to a third at most.
const MAX_RAW_BYTES: usize = 4 * MAX_BYTES;

/// A password that may be set: in Unicode normal form C and within the policy. It is wiped when dropped.
///
/// There are no rules of composition: any characters, spaces and scripts will do.
#[derive(Clone)]
pub struct NewPassword(Zeroizing<String>);

/// Why a password may not be set: what is wrong, and what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordProblem {
    /// Too few code points.
    #[error("has {code_points} characters: use 15 to 256")]
    TooShort {
        /// After normalisation.
        code_points: usize,
    },
    /// Too many code points or bytes.
    #[error("is too long: use 15 to 256 characters and at most 1024 bytes of UTF-8")]
    TooLong,
    /// One short piece again and again.
    #[error("repeats one short piece: use several unrelated words")]
    Repeats,
    /// Well-known passwords, keyboard rows, numbers.
    #[error(
        "is made of well-known passwords, keyboard rows or numbers alone: use four or more unrelated words"
    )]
    WellKnown,
    /// The name of the user or of the service.
    #[error(
        "is made of the name or address of the user or the service: use several unrelated words"
    )]
    Personal,
}

impl NewPassword {
    /// Takes a new password if it keeps the policy: 15 to 256 code points and at most 1,024 bytes in normal form C,
    /// and not easy to guess. `forbidden` are words of its context, such as the username and the parts of the
    /// address, in any case.
    ///
    /// # Errors
    ///
    /// What is wrong with it; the text never repeats the password.
    pub fn parse(raw: &str, forbidden: &[String]) -> Result<Self, PasswordProblem> {
        let text = normalised(raw).ok_or(PasswordProblem::TooLong)?;
        let code_points = text.chars().count();
        if code_points > MAX_CODE_POINTS {
            return Err(PasswordProblem::TooLong);
        }
        if code_points < MIN_CODE_POINTS {
            return Err(PasswordProblem::TooShort { code_points });
        }
        match blocklist::weakness(&text, forbidden) {
            None => Ok(Self(text)),
            Some(Weakness::Repeats) => Err(PasswordProblem::Repeats),
            Some(Weakness::WellKnown) => Err(PasswordProblem::WellKnown),
            Some(Weakness::Personal) => Err(PasswordProblem::Personal),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword([redacted])")
    }
}

/// What somebody typed to prove an identity: in Unicode normal form C, otherwise exactly as sent, with every
/// character that there is. It is wiped when dropped.
///
/// Our own hashes are of the normal form. Hashes that came from elsewhere are of what was typed, which is kept beside
/// it: most programs hash the bytes as they come, so the same keyboard gives the same password again. The normal form
/// is not tried as well, which would double the work for whoever sends text that is not in it.
///
/// One of more than 1,024 bytes cannot be anybody's password; it costs as much as any other and never matches.
#[derive(Clone)]
pub struct Candidate {
    composed: Option<Zeroizing<String>>,
    /// Where it differs.
    typed: Option<Zeroizing<String>>,
}

/// Takes what somebody typed.
#[must_use]
pub fn candidate(raw: &str) -> Candidate {
    let composed = normalised(raw);
    let differs = composed.as_ref().is_some_and(|text| text.as_str() != raw);
    Candidate {
        composed,
        typed: differs.then(|| Zeroizing::new(raw.to_owned())),
    }
}

impl Candidate {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.composed.as_ref().map_or(&[], |text| text.as_bytes())
    }

    /// Without normalisation.
    pub(super) fn as_typed(&self) -> &[u8] {
        self.typed
            .as_ref()
            .map_or_else(|| self.as_bytes(), |text| text.as_bytes())
    }

    /// Whether it can be a password at all.
    pub(super) fn is_possible(&self) -> bool {
        self.composed.is_some()
    }
}

impl From<&NewPassword> for Candidate {
    fn from(password: &NewPassword) -> Self {
        Self {
            composed: Some(password.0.clone()),
            typed: None,
        }
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Candidate([redacted])")
    }
}

/// Normal form C, or nothing when it is too long.
fn normalised(raw: &str) -> Option<Zeroizing<String>> {
    if raw.len() > MAX_RAW_BYTES {
        return None;
    }
    // Composing lengthens text to three times at most: with that room nothing is moved, so no copy stays behind.
    let mut text = Zeroizing::new(String::with_capacity(3 * raw.len()));
    text.extend(raw.nfc());
    (text.len() <= MAX_BYTES).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(raw: &str) -> Option<PasswordProblem> {
        NewPassword::parse(raw, &["ada.lovelace".into()]).err()
    }

    #[test]
    fn length_is_counted_in_code_points_after_composition() {
        assert_eq!(problem("sieben Zwerge 7"), None);
        assert_eq!(
            problem("sieben Zwerge "),
            Some(PasswordProblem::TooShort { code_points: 14 })
        );
        // Fifteen as sent, fourteen once the accent is composed.
        assert_eq!(
            problem("vive le cafe\u{301} !"),
            Some(PasswordProblem::TooShort { code_points: 14 })
        );
        assert_eq!(problem("пароль из слов, длинный"), None);
        assert_eq!(problem("一二三四五六七八九十甲乙丙丁戊"), None);
    }

    #[test]
    fn the_bounds_are_256_code_points_and_1024_bytes() {
        let of = |unit: &str, times: usize| {
            let letters = ('a'..='z').cycle().step_by(7).take(times);
            letters.fold(String::new(), |text, letter| {
                text + unit + &letter.to_string()
            })
        };
        assert_eq!(problem(&of("z", 128)), None);
        assert_eq!(
            problem(&(of("z", 128) + "!")),
            Some(PasswordProblem::TooLong)
        );
        // 200 code points of which half have four bytes: 500 bytes.
        assert_eq!(problem(&of("😀", 100)), None);
        assert_eq!(problem(&"😀".repeat(257)), Some(PasswordProblem::TooLong));
        assert_eq!(
            problem(&"é".repeat(5_000_000)),
            Some(PasswordProblem::TooLong)
        );
    }

    #[test]
    fn there_are_no_rules_of_composition() {
        for good in [
            "correct horse battery staple",
            "nur kleine buchstaben hier",
            "    viel leerraum    hilft    ",
            "tab\tand\u{0}nul are fine too",
        ] {
            assert_eq!(problem(good), None, "{good:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_is_right() {
        let text = |raw: &str| problem(raw).unwrap().to_string();
        assert_eq!(text("short"), "has 5 characters: use 15 to 256");
        assert!(text("abcabcabcabcabcabc").contains("repeats"));
        assert!(text("Password123456789").contains("well-known"));
        assert!(text("Ada.Lovelace-2024").contains("name"));
    }

    #[test]
    fn both_normal_forms_are_one_password() {
        assert_eq!(candidate("cafe\u{301}").as_bytes(), "café".as_bytes());
        let new = NewPassword::parse("drei cafe\u{301} und Kuchen", &[]).unwrap();
        assert_eq!(new.as_bytes(), candidate("drei café und Kuchen").as_bytes());
    }

    #[test]
    fn what_was_typed_is_kept_beside_its_normal_form() {
        let typed = "cafe\u{301}";
        assert_eq!(candidate(typed).as_typed(), typed.as_bytes());
        assert!(candidate("café").typed.is_none());
        assert_eq!(candidate("café").as_typed(), "café".as_bytes());
    }

    #[test]
    fn a_candidate_is_kept_exactly() {
        for raw in ["", " a ", "a\u{0}b\r\n", "ÀÇ", "\u{1f600}"] {
            assert_eq!(candidate(raw).as_bytes(), raw.as_bytes());
            assert_eq!(candidate(raw).as_typed(), raw.as_bytes());
            assert!(candidate(raw).is_possible());
        }
        assert!(candidate(&"x".repeat(1024)).is_possible());
        assert!(!candidate(&"x".repeat(1025)).is_possible());
    }

    #[test]
    fn normalising_never_outgrows_its_room() {
        for raw in ('\0'..=char::MAX).map(String::from) {
            assert!(raw.nfc().map(char::len_utf8).sum::<usize>() <= 3 * raw.len());
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let new = NewPassword::parse("drei Tassen und Kuchen", &[]).unwrap();
        let shown = format!("{new:?} {:?}", Candidate::from(&new));
        assert!(!shown.contains("Tassen"), "{shown}");
    }
}
