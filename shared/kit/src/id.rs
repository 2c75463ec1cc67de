//! Ids of everything that is stored: cuid2-shaped text.

use crate::entropy::{self, Entropy};

/// Characters of an id.
const ID_LENGTH: usize = 24;

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const LETTERS: u8 = 26;

/// A new id: a lower-case letter and 23 lower-case letters or digits, 123 random bits.
///
/// Ids do not sort by time and are no secrets.
#[must_use]
pub fn new_id(entropy: &dyn Entropy) -> String {
    let mut id = String::with_capacity(ID_LENGTH);
    while id.len() < ID_LENGTH {
        for byte in entropy::bytes::<32>(entropy) {
            let symbols = if id.is_empty() { LETTERS } else { 36 };
            // A byte past the last whole multiple would favour the first symbols.
            if id.len() < ID_LENGTH && byte < u8::MAX / symbols * symbols {
                id.push(char::from(ALPHABET[usize::from(byte % symbols)]));
            }
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn is_id(text: &str) -> bool {
        text.len() == ID_LENGTH
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    }

    #[test]
    fn ids_have_their_shape_and_differ() {
        let ids: HashSet<String> = (0..1_000).map(|_| new_id(&SystemEntropy)).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| is_id(id)));
    }

    #[test]
    fn every_symbol_occurs_in_every_place() {
        let ids: Vec<String> = (0..5_000).map(|_| new_id(&SystemEntropy)).collect();
        for place in 0..ID_LENGTH {
            let seen: HashSet<u8> = ids.iter().map(|id| id.as_bytes()[place]).collect();
            assert_eq!(seen.len(), if place == 0 { 26 } else { 36 });
        }
    }
}
