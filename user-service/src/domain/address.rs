//! Postal addresses: every part optional.

use serde::{Deserialize, Serialize};

use super::{problem::Problem, text::canonical};

/// A postal address as it was written, or as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Address {
    /// Street and number.
    pub street: String,
    /// Flat, floor, building.
    pub extra: String,
    /// Town or city.
    pub city: String,
    /// State, province or canton.
    pub region: String,
    /// Postal code.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 in capitals.
    pub country_code: String,
}

impl Address {
    /// The longest part, in characters.
    pub const MAX_PART: usize = 200;
    /// The longest postal code, in characters.
    pub const MAX_POSTAL_CODE: usize = 20;

    /// The address with every part trimmed and in NFC; `None` when nothing is left.
    ///
    /// # Errors
    /// Every part that is wrong, by its field name.
    pub fn parse(raw: &Self) -> Result<Option<Self>, Vec<(&'static str, Problem)>> {
        let mut problems = Vec::new();
        let mut part = |field, raw: &str, max| {
            canonical(raw, max).unwrap_or_else(|problem| {
                problems.push((field, problem));
                String::new()
            })
        };
        let address = Self {
            street: part("street", &raw.street, Self::MAX_PART),
            extra: part("extra", &raw.extra, Self::MAX_PART),
            city: part("city", &raw.city, Self::MAX_PART),
            region: part("region", &raw.region, Self::MAX_PART),
            postal_code: part("postal_code", &raw.postal_code, Self::MAX_POSTAL_CODE),
            country_code: raw.country_code.clone(),
        };
        let country = address.country_code.as_bytes();
        if !country.is_empty()
            && (country.len() != 2 || !country.iter().all(u8::is_ascii_uppercase))
        {
            problems.push((
                "country_code",
                Problem::Format("must be two capital letters such as CH"),
            ));
        }
        if problems.is_empty() {
            Ok((address != Self::default()).then_some(address))
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_part_is_named() {
        let raw = Address {
            street: "a\nb".into(),
            postal_code: "1".repeat(21),
            country_code: "ch".into(),
            ..Address::default()
        };
        let fields: Vec<_> = Address::parse(&raw)
            .unwrap_err()
            .into_iter()
            .map(|(field, _)| field)
            .collect();
        assert_eq!(fields, ["street", "postal_code", "country_code"]);
    }

    #[test]
    fn an_address_without_content_is_none() {
        let raw = Address {
            city: "  ".into(),
            ..Address::default()
        };
        assert_eq!(Address::parse(&raw), Ok(None));
    }
}
