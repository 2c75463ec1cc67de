//! Look-alikes: the form in which two usernames are one that nobody tells apart at a glance.

/// The skeleton of a username as it is written, after UTS 39 and for ASCII alone: two names with a skeleton in common
/// cannot both exist.
///
/// What is taken for one another, and why:
///
/// - `0` and `o`, `1` and `l` and a capital `I`, `m` and `rn`, `w` and `vv`: in many fonts they are the same picture.
///   A small `i` keeps its dot and stays apart, so `ian` and `lan` are two people; only somebody who writes `Ian`
///   meets `lan`. Pairs that merely resemble each other, such as `5` and `s` or `cl` and `d`, stay apart: they would
///   refuse real names and deceive nobody who looks.
/// - `.`, `_` and `-`, also several in a row: nobody remembers which of them a colleague has, so `anna_lee` beside
///   `anna.lee` serves deceit and mistaken mail more than a second Anna Lee, who is free to be `anna.lee2` or `annalee`.
///   Whether there is a separator at all is seen: `annalee` is another name.
///
/// A skeleton is a form for comparing; nobody is called by it.
#[must_use]
pub(super) fn skeleton(name: &str) -> String {
    let mut skeleton = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '0' | 'o' | 'O' => skeleton.push('o'),
            '1' | 'l' | 'L' | 'I' => skeleton.push('l'),
            'm' | 'M' => skeleton.push_str("rn"),
            'w' | 'W' => skeleton.push_str("vv"),
            '.' | '_' | '-' => {
                if !skeleton.ends_with(SEPARATOR) {
                    skeleton.push(SEPARATOR);
                }
            }
            other => skeleton.push(other.to_ascii_lowercase()),
        }
    }
    skeleton
}

/// What every separator becomes.
pub(super) const SEPARATOR: char = '.';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_has_one_skeleton() {
        for (name, look_alike) in [
            ("paul", "pau1"),
            ("paul", "PAUL"),
            ("paul", "pauI"),
            ("bob", "b0b"),
            ("tom", "torn"),
            ("wim", "vvirn"),
            ("vw-fan", "wv_fan"),
            ("anna.lee", "anna_lee"),
            ("anna.lee", "Anna-1ee"),
            ("anna.lee", "anna._-lee"),
        ] {
            assert_eq!(skeleton(name), skeleton(look_alike), "{name} {look_alike}");
        }
    }

    #[test]
    fn ordinary_neighbours_stay_apart() {
        for (name, neighbour) in [
            ("ian", "lan"),
            ("anna.lee", "annalee"),
            ("person1", "person11"),
            ("clara", "dara"),
            ("sam5", "sams"),
            ("user10", "user01"),
        ] {
            assert_ne!(skeleton(name), skeleton(neighbour), "{name} {neighbour}");
        }
    }
}
