//! Passwords that are easy to guess although they are long.
//!
//! Lists of leaked passwords hold few of 15 characters or more, and nearly all of those are made of shorter ones: a
//! word twice, two words and a year, a walk over the keyboard. So the whole password is cut into as few known pieces
//! as possible, and refused when few are enough. A password that merely contains a known piece is not refused.

use std::{collections::HashSet, sync::LazyLock};

use zeroize::Zeroizing;

/// Well-known passwords, one a line.
const COMMON: &str = include_str!("common.txt");
/// What the product itself is about.
const OWN_WORDS: [&str; 8] = [
    "identity",
    "service",
    "account",
    "admin",
    "administrator",
    "user",
    "login",
    "authentication",
];
/// Rows, columns and zigzags of keyboards, the alphabet and the digits.
const TRACKS: [&str; 17] = [
    "1234567890",
    "0123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "йцукенгшщзхъ",
    "фывапролджэ",
];
/// The longest unit whose repetition is looked for.
const MAX_UNIT: usize = 8;
/// The fewest characters in a walk along a track, or of one character again and again.
const MIN_WALK: usize = 3;
/// The most digits that count as one number.
const MAX_NUMBER: usize = 8;
/// The shortest and the longest word that counts as a piece.
const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 3..=32;
/// A password of so many pieces is easy to guess: even of three of the listed words there are fewer than 2^36.
const MAX_PIECES: usize = 3;

/// Why a password is easy to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weakness {
    /// One unit of at most 8 characters, again and again.
    Repeats,
    /// At most three well-known passwords and numbers; walks along tracks and separators are not counted.
    WellKnown,
    /// The same with words of the user or of the service.
    Personal,
}

/// Looks for the easiest way to guess a password. Case does not matter.
pub(super) fn weakness(password: &str, context: &[String]) -> Option<Weakness> {
    let text: Zeroizing<Vec<char>> =
        Zeroizing::new(password.chars().flat_map(char::to_lowercase).collect());
    if repeats(&text) {
        return Some(Weakness::Repeats);
    }
    if pieces(&text, |word| common().contains(word)).is_some_and(|count| count <= MAX_PIECES) {
        return Some(Weakness::WellKnown);
    }
    let own: HashSet<String> = context
        .iter()
        .map(|word| word.to_lowercase())
        .chain(OWN_WORDS.map(String::from))
        .collect();
    let known = |word: &str| own.contains(word) || common().contains(word);
    pieces(&text, known)
        .is_some_and(|count| count <= MAX_PIECES)
        .then_some(Weakness::Personal)
}

fn common() -> &'static HashSet<&'static str> {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        COMMON
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect()
    });
    &WORDS
}

/// Whether the text is one short unit again and again; the last may be cut off.
fn repeats(text: &[char]) -> bool {
    (1..=MAX_UNIT.min(text.len() / 2)).any(|unit| {
        text.iter()
            .zip(&text[unit..])
            .all(|(before, after)| before == after)
    })
}

/// The least number of words and numbers that the text can be cut into, or nothing when something else is left over.
fn pieces(text: &[char], known: impl Fn(&str) -> bool) -> Option<usize> {
    // best[end]: the least count for the text before `end`.
    let mut best: Vec<Option<usize>> = vec![None; text.len() + 1];
    best[0] = Some(0);
    let mut word = Zeroizing::new(String::with_capacity(4 * WORD_LENGTHS.end()));
    for start in 0..text.len() {
        let Some(count) = best[start] else { continue };
        let rest = &text[start..];
        let mut reach = |length: usize, count: usize| {
            let end = &mut best[start + length];
            *end = Some(end.map_or(count, |other| other.min(count)));
        };
        if !rest[0].is_alphanumeric() {
            reach(1, count);
        }
        for length in MIN_WALK..=longest_walk(rest) {
            reach(length, count);
        }
        let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        for length in 1..=digits.min(MAX_NUMBER) {
            reach(length, count + 1);
        }
        word.clear();
        for (index, c) in rest.iter().take(*WORD_LENGTHS.end()).enumerate() {
            word.push(*c);
            let length = index + 1;
            if WORD_LENGTHS.contains(&length) && known(&word) {
                reach(length, count + 1);
            }
        }
    }
    best[text.len()]
}

/// How far the text goes along one track, forwards, backwards or on the spot.
fn longest_walk(text: &[char]) -> usize {
    let spot = text.iter().take_while(|c| **c == text[0]).count();
    TRACKS
        .iter()
        .map(|track| along(text, track.chars()).max(along(text, track.chars().rev())))
        .max()
        .map_or(spot, |walk| walk.max(spot))
}

/// How far the text goes along a track from where its first character stands.
fn along(text: &[char], track: impl Iterator<Item = char>) -> usize {
    track
        .skip_while(|c| *c != text[0])
        .zip(text)
        .take_while(|(track, text)| track == *text)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(password: &str) -> Option<Weakness> {
        weakness(
            password,
            &["ada".into(), "Lovelace".into(), "example.org".into()],
        )
    }

    #[test]
    fn the_list_has_more_than_3000_words_in_lower_case() {
        assert!(common().len() > 3_000, "{}", common().len());
        assert!(
            common()
                .iter()
                .all(|word| WORD_LENGTHS.contains(&word.len()))
        );
        assert!(common().iter().all(|word| *word == word.to_lowercase()));
    }

    #[test]
    fn every_known_long_password_is_refused_in_any_case() {
        let long: Vec<_> = common().iter().filter(|word| word.len() >= 15).collect();
        assert!(long.len() > 30, "{}", long.len());
        for word in long {
            assert!(of(word).is_some(), "{word}");
            assert!(of(&word.to_uppercase()).is_some(), "{word}");
        }
    }

    #[test]
    fn more_than_3000_passwords_that_fit_the_length_are_refused() {
        let refused = common()
            .iter()
            .filter(|word| word.len() >= 8 || of(&format!("{word}{word}")).is_some())
            .filter(|word| of(&format!("{word}-{word}-2024")).is_some())
            .count();
        assert!(refused > 3_000, "{refused}");
    }

    #[test]
    fn repetitions_are_refused() {
        for password in [
            "aaaaaaaaaaaaaaa",
            "abababababababab",
            "xK9!xK9!xK9!xK9!",
            "zq7#wp2Lzq7#wp2L",
            "ещёещёещёещёещё",
        ] {
            assert_eq!(of(password), Some(Weakness::Repeats), "{password}");
        }
    }

    #[test]
    fn walks_and_well_known_pieces_are_refused() {
        for password in [
            "qwertyuiopasdfghjkl",
            "QWERTYUIOPasdfghjklZXCVBNM",
            "1qaz2wsx3edc4rfv",
            "!qaz@wsx#edc$rfv",
            "123456789abcdefgh",
            "987654321qwerty123",
            "314159265358979",
            "PasswordPassword1",
            "iloveyou-forever-99",
            "Dragon Monkey 1987!!",
            "football&baseball",
            "йцукенгшщзфыва123",
        ] {
            assert_eq!(of(password), Some(Weakness::WellKnown), "{password}");
        }
    }

    #[test]
    fn names_of_the_user_and_the_service_are_refused() {
        for password in [
            "Ada.Lovelace.1815",
            "lovelace@example.org",
            "identity-service-2024",
            "AdaPassword123456",
        ] {
            assert_eq!(of(password), Some(Weakness::Personal), "{password}");
        }
    }

    #[test]
    fn passwords_that_only_contain_a_known_piece_are_taken() {
        for password in [
            "correct horse battery staple",
            "password is a word in this sentence",
            "ada likes tea with lemon",
            "vT4$hw90qLpe!xk2",
            "dragon-monkey-shadow-baseball",
            "drei Tassen und Kuchen",
            "3q8rz7w5k2m9x4v",
        ] {
            assert_eq!(of(password), None, "{password}");
        }
    }

    #[test]
    fn the_longest_password_is_judged_too() {
        assert_eq!(of(&"password".repeat(32)), Some(Weakness::Repeats));
        let walk: String = "qwertzuiop987".chars().cycle().take(256).collect();
        assert_eq!(of(&walk), Some(Weakness::WellKnown));
    }
}
