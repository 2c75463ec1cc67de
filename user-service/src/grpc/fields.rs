//! Fields of requests: lists of ids, page sizes, update masks and enums, with every violation in one answer.

use std::{collections::HashSet, ops::RangeInclusive};

use identity_kit::{clock::Timestamp, page::PageSize, status::Failure, violations::Violations};
use prost_types::FieldMask;

use crate::domain::{address::Address, problem::Problem};

/// The most elements of a list of ids or names.
const MAX_LIST: usize = 100;
/// The most paths of an update mask.
const MAX_PATHS: usize = 50;
/// The path that stands for every part.
const ALL: &str = "*";

/// The failure that names every violation.
pub(super) fn failure(fields: Violations) -> Failure {
    fields.finish().err().unwrap_or_else(Failure::internal)
}

/// Reads a list of 1 to 100 elements; `distinct` refuses repetitions.
pub(super) fn list<T>(
    fields: &mut Violations,
    field: &str,
    raw: &[String],
    distinct: bool,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Option<Vec<T>> {
    if raw.is_empty() {
        fields.add(field, Problem::Empty.to_string());
        return None;
    }
    if raw.len() > MAX_LIST {
        fields.add(field, Problem::TooMany(MAX_LIST).to_string());
        return None;
    }
    let mut seen = HashSet::new();
    let parsed: Vec<_> = raw
        .iter()
        .enumerate()
        .map(|(index, element)| {
            let repeated = distinct && !seen.insert(element.as_str());
            let parsed = if repeated {
                Err(Problem::Duplicate)
            } else {
                parse(element)
            };
            fields.take(format!("{field}[{index}]"), parsed)
        })
        .collect();
    parsed.into_iter().collect()
}

/// Reads `page_size`.
pub(super) fn page_size(fields: &mut Violations, raw: i32) -> Option<u64> {
    fields.take("page_size", PageSize::parse(raw))
}

/// Reads an optional value: empty text means none. The outer `None` means that it is malformed.
#[expect(clippy::option_option, reason = "malformed and absent are two things")]
pub(super) fn optional<T>(
    fields: &mut Violations,
    field: &str,
    raw: &str,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Option<Option<T>> {
    if raw.is_empty() {
        return Some(None);
    }
    fields.take(field, parse(raw)).map(Some)
}

/// The seconds from the beginning of the year 1 to the end of the year 9999, which the wire's times may say.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Reads an optional time. The outer `None` means that it is malformed.
#[expect(clippy::option_option, reason = "malformed and absent are two things")]
pub(super) fn time(
    fields: &mut Violations,
    field: &str,
    raw: Option<prost_types::Timestamp>,
) -> Option<Option<Timestamp>> {
    let Some(at) = raw else { return Some(None) };
    if SECONDS.contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos) {
        return Some(Some(at.into()));
    }
    fields.add(field, "must be a time of the years 1 to 9999");
    None
}

/// Reads an enum by its number, unknown ones refused.
pub(super) fn choice<W, T>(
    fields: &mut Violations,
    field: &str,
    raw: i32,
    read: impl Fn(W) -> T,
) -> Option<T>
where
    W: TryFrom<i32>,
{
    let known = W::try_from(raw).map_err(|_| Problem::Format("must be a value of the enum"));
    fields.take(field, known).map(read)
}

/// Reads an address, naming each wrong part. The outer `None` means that it is malformed.
#[expect(clippy::option_option, reason = "malformed and absent are two things")]
pub(super) fn address(
    fields: &mut Violations,
    field: &str,
    raw: Option<Address>,
) -> Option<Option<Address>> {
    match raw.map_or(Ok(None), |raw| Address::parse(&raw)) {
        Ok(address) => Some(address),
        Err(problems) => {
            for (part, problem) in problems {
                fields.add(format!("{field}.{part}"), problem.to_string());
            }
            None
        }
    }
}

/// Which parts an update changes.
pub(super) struct Mask<'a> {
    paths: Option<&'a [String]>,
}

impl<'a> Mask<'a> {
    /// Reads `update_mask`; paths outside `known` are violations.
    pub(super) fn read(
        fields: &mut Violations,
        mask: Option<&'a FieldMask>,
        known: &[&str],
    ) -> Self {
        let paths = mask
            .map(|mask| mask.paths.as_slice())
            .filter(|paths| !paths.is_empty());
        if let Some(paths) = paths {
            if paths.len() > MAX_PATHS {
                fields.add("update_mask", Problem::TooMany(MAX_PATHS).to_string());
            }
            for (index, path) in paths.iter().enumerate().take(MAX_PATHS) {
                if path != ALL && !known.contains(&path.as_str()) {
                    fields.add(
                        format!("update_mask.paths[{index}]"),
                        "must name a field that can be changed",
                    );
                }
            }
        }
        Self { paths }
    }

    /// Whether the part is to be changed; without a mask, whether it is present.
    pub(super) fn covers(&self, path: &str, present: bool) -> bool {
        self.paths.map_or(present, |paths| {
            paths.iter().any(|named| named == path || named == ALL)
        })
    }

    /// Reads a part that is text. The outer `None` means that it is malformed.
    #[expect(
        clippy::option_option,
        reason = "malformed and unchanged are two things"
    )]
    pub(super) fn text<T>(
        &self,
        fields: &mut Violations,
        (object, path): (&str, &str),
        raw: Option<&String>,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        if !self.covers(path, raw.is_some()) {
            return Some(None);
        }
        let raw = raw.map(String::as_str).unwrap_or_default();
        fields
            .take(format!("{object}.{path}"), parse(raw))
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RoleId;

    fn ids(raw: &[&str]) -> (Option<Vec<RoleId>>, bool) {
        let raw: Vec<_> = raw.iter().map(|&id| id.to_owned()).collect();
        let mut fields = Violations::new();
        let parsed = list(&mut fields, "role_ids", &raw, true, RoleId::parse);
        (parsed, fields.is_empty())
    }

    #[test]
    fn a_list_is_neither_empty_nor_long_nor_repetitive() {
        assert_eq!(ids(&["a", "b"]).0.map(|ids| ids.len()), Some(2));
        assert_eq!(ids(&[]), (None, false));
        assert_eq!(ids(&["a", "a"]), (None, false));
        assert_eq!(ids(&["a", "B"]), (None, false));
        let many: Vec<_> = (0..101).map(|index| format!("a{index}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(ids(&many), (None, false));
    }

    #[test]
    fn without_a_mask_what_is_present_changes() {
        let mut fields = Violations::new();
        let mask = Mask::read(&mut fields, None, &["a"]);
        assert!(mask.covers("a", true));
        assert!(!mask.covers("a", false));
    }

    #[test]
    fn a_mask_decides_alone_and_knows_its_paths() {
        let mut fields = Violations::new();
        let given = FieldMask {
            paths: vec!["a".into()],
        };
        let mask = Mask::read(&mut fields, Some(&given), &["a", "b"]);
        assert!(mask.covers("a", false) && !mask.covers("b", true));
        assert!(fields.is_empty());
        let all = FieldMask {
            paths: vec!["*".into()],
        };
        assert!(Mask::read(&mut fields, Some(&all), &["a"]).covers("a", false));
        let unknown = FieldMask {
            paths: vec!["id".into()],
        };
        Mask::read(&mut fields, Some(&unknown), &["a"]);
        assert!(!fields.is_empty());
    }
}
