//! Searching people: what a search looks at and for, folded, and written so that no index reads it as anything else.
//!
//! Folded means without regard to case and accents: compatibility forms apart (NFKD), in lower case, without the
//! diacritics of Latin, Greek and Cyrillic (U+0300 to U+036F), with the letters that have no such form by their usual
//! spelling (`ß` as `ss`, `ø` as `o`, `æ` as `ae` …), and with one blank for any white space. Vowel signs of other
//! scripts are letters and stay.
//!
//! The folded text is then written in ASCII letters and digits alone. Whatever is no `a` to `z` or digit becomes
//! `Z`, the code point in hexadecimal with the digits `A` to `P`, and `Y`; before the first letter of a word stands
//! `QQ`. So a part of a text is a part of its written form and nothing else is, whatever the engine takes for a
//! letter, a wildcard or an operator; a search for `%` finds `%`; and one or two letters, which have no trigram,
//! have one as the beginning of a word.

use unicode_normalization::UnicodeNormalization;

use super::{problem::Problem, text::canonical, user::User};

/// Stands before each word.
const WORD: &str = "QQ";
/// Stands before each field, and in no query.
const FIELD: char = 'R';
/// The fewest characters of which an index knows where they stand.
const TRIGRAM: usize = 3;

/// What a search for a user looks at: username, address, and first and last name with a blank between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText(String);

impl SearchText {
    /// The text of a user.
    #[must_use]
    pub fn of(user: &User) -> Self {
        let (first, last) = (user.first_name.as_str(), user.last_name.as_str());
        Self::of_parts(user.username.as_str(), user.email.as_str(), first, last)
    }

    /// The same of the parts that it is made of.
    #[must_use]
    pub fn of_parts(username: &str, email: &str, first_name: &str, last_name: &str) -> Self {
        let mut text = String::new();
        for field in [username, email, &format!("{first_name} {last_name}")] {
            text.push(FIELD);
            write(&fold(field), &mut text, false);
        }
        Self(text)
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is searched for: 1 to 100 characters that stand in a user's text, or, when they are one or two letters or
/// digits, with which a word of it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery(String);

impl SearchQuery {
    /// The longest query, in characters.
    pub const MAX: usize = 100;

    /// Reads a query, trimmed and in NFC.
    ///
    /// # Errors
    /// When nothing is to be searched for, or it is too long or has control characters.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let folded = fold(&canonical(raw, Self::MAX)?);
        if folded.is_empty() {
            return Err(Problem::Empty);
        }
        let mut written = String::new();
        // It may begin in the middle of a word.
        write(&folded, &mut written, true);
        if written.len() < TRIGRAM {
            written.insert_str(0, WORD);
        }
        Ok(Self(written))
    }

    /// What stands in the stored text of those who are found: at least three ASCII letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fold(raw: &str) -> String {
    let mut folded = String::with_capacity(raw.len());
    for character in raw.nfkd().flat_map(char::to_lowercase) {
        match character {
            '\u{300}'..='\u{36f}' => {}
            blank if blank.is_whitespace() => {
                if !folded.is_empty() && !folded.ends_with(' ') {
                    folded.push(' ');
                }
            }
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            other => folded.push(other),
        }
    }
    folded.trim_end().nfc().collect()
}

fn write(folded: &str, text: &mut String, mut in_word: bool) {
    for character in folded.chars() {
        let is_letter = character.is_alphanumeric();
        if is_letter && !in_word {
            text.push_str(WORD);
        }
        in_word = is_letter;
        if character.is_ascii_alphanumeric() {
            text.push(character);
        } else {
            text.push('Z');
            let digits = format!("{:x}", u32::from(character));
            text.extend(digits.bytes().map(letter));
            text.push('Y');
        }
    }
}

/// A hexadecimal digit as one of the letters `A` to `P`.
fn letter(digit: u8) -> char {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    };
    char::from(b'A' + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(query: &str) -> bool {
        let text = SearchText::of_parts(
            "Ada_L",
            "ada.lovelace+50%@exämple.org",
            "Zoë Maria",
            "Østergård-日本",
        );
        text.as_str()
            .contains(SearchQuery::parse(query).unwrap().as_str())
    }

    #[test]
    fn a_part_of_a_name_or_address_finds_it_in_any_case_and_without_accents() {
        for query in [
            "ada",
            "ADA",
            "velace",
            "zoe",
            "ZOË",
            "zoe\u{308}",
            "oe maria",
            "Zoë  Maria Øster",
            "ostergard",
            "rgard-日",
            "日",
            "本",
            "example.org",
            "EXÄMPLE",
            "+50%@",
            "a_l",
            "%",
            "_",
            "+",
        ] {
            assert!(finds(query), "{query}");
        }
    }

    #[test]
    fn one_or_two_letters_find_the_beginnings_of_words() {
        for query in ["a", "ad", "l", "m", "ma", "O", "zo", "e", "5", "50"] {
            assert!(finds(query), "{query}");
        }
        for query in ["d", "da", "ov", "gg", "0"] {
            assert!(!finds(query), "{query}");
        }
    }

    #[test]
    fn what_means_something_to_an_engine_means_itself() {
        for query in [
            "a%a",
            "a_a",
            "ad\\",
            "\"",
            "*",
            "ada*",
            "ada OR zoe",
            "NEAR(ada)",
            "-ada",
            "ada.l%",
            "'; DROP TABLE users",
            "Zc",
            "QQ",
            "R",
            "ZCFY",
            "50Y",
        ] {
            assert!(!finds(query), "{query}");
            let written = SearchQuery::parse(query).unwrap();
            assert!(
                written
                    .as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric())
            );
            assert!(written.as_str().len() >= TRIGRAM, "{query}");
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        for query in ["l ada", "lada", "org zoe", "orgzoe"] {
            assert!(!finds(query), "{query}");
        }
    }

    #[test]
    fn a_query_is_something_of_bounded_length() {
        for raw in ["", "  ", "\u{301}"] {
            assert_eq!(SearchQuery::parse(raw), Err(Problem::Empty));
        }
        assert_eq!(SearchQuery::parse("a\0"), Err(Problem::ControlCharacter));
        assert!(SearchQuery::parse(&"é".repeat(100)).is_ok());
        assert_eq!(
            SearchQuery::parse(&"é".repeat(101)),
            Err(Problem::TooLong(100))
        );
    }
}
