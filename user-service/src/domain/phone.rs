//! Telephone numbers in the international form of E.164.

use super::{problem::Problem, text::text_type};

text_type! {
    /// A `+`, a digit from 1 to 9, and 6 to 14 more digits.
    Phone
}

impl Phone {
    /// Reads a number; empty means that none is known.
    ///
    /// # Errors
    /// When it is not in the form of E.164.
    pub fn parse(raw: &str) -> Result<Option<Self>, Problem> {
        if raw.is_empty() {
            return Ok(None);
        }
        let valid = raw.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.starts_with('0')
        });
        if valid {
            Ok(Some(Self(raw.to_owned())))
        } else {
            Err(Problem::Format(
                "must be a number of E.164 such as +41446681800",
            ))
        }
    }
}

super::text::stored_type!(Phone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_international_form_is_taken() {
        assert_eq!(Phone::parse(""), Ok(None));
        assert!(Phone::parse("+41446681800").unwrap().is_some());
        for raw in [
            "0446681800",
            "+0446681800",
            "+41 44",
            "+123456",
            "+1234567890123456",
            "+4144668180\0",
        ] {
            assert!(Phone::parse(raw).is_err(), "{raw:?}");
        }
    }
}
