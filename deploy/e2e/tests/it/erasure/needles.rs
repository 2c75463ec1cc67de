//! A search for values in everything that they are usually written as: text, hexadecimal, base64 and plain digests.

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Bytes by which a needle is looked up; none is shorter.
const START: usize = 4;

/// A value in the forms that it is known in.
pub(super) struct Fact {
    /// What it is, and of whom.
    pub(super) what: String,
    /// As it was given, and as it is compared.
    pub(super) forms: Vec<String>,
}

/// Everything that is looked for.
pub(super) struct Needles {
    /// What is looked for without regard to case; in lower case.
    folded: Index,
    /// What is looked for as it is.
    exact: Index,
}

impl Needles {
    pub(super) fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut needles = Self {
            folded: Index::default(),
            exact: Index::default(),
        };
        for fact in facts {
            let lower = fact.forms.iter().map(|form| form.to_lowercase());
            let upper = fact.forms.iter().map(|form| form.to_uppercase());
            let forms: BTreeSet<_> = fact
                .forms
                .iter()
                .cloned()
                .chain(lower)
                .chain(upper)
                .collect();
            for form in forms {
                needles.add(&fact.what, &form);
            }
        }
        needles
    }

    fn add(&mut self, what: &str, form: &str) {
        let mut folded = |encoding: &str, text: &str| {
            self.folded.add(
                format!("{what} as {encoding}"),
                text.to_ascii_lowercase().into_bytes(),
            );
        };
        folded("text", form);
        folded("hexadecimal", &hexadecimal(form.as_bytes()));
        folded(
            "a part of a URL",
            &form.replace('@', "%40").replace(' ', "%20"),
        );
        folded(
            "a part of a form",
            &form.replace('@', "%40").replace(' ', "+"),
        );
        let utf16: Vec<u8> = form.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.exact.add(format!("{what} as UTF-16"), utf16);
        for (offset, alphabet) in (0..3).flat_map(|offset| [(offset, true), (offset, false)]) {
            let text = inside_base64(form.as_bytes(), offset, alphabet);
            self.exact
                .add(format!("{what} as base64"), text.into_bytes());
        }
        let digest = digest(&SHA256, form.as_bytes());
        let digest = digest.as_ref();
        self.folded.add(
            format!("{what} as a digest"),
            hexadecimal(digest).into_bytes(),
        );
        for bytes in [
            digest.to_vec(),
            STANDARD_NO_PAD.encode(digest).into_bytes(),
            URL_SAFE_NO_PAD.encode(digest).into_bytes(),
        ] {
            self.exact.add(format!("{what} as a digest"), bytes);
        }
    }

    /// What is found, each with how it is written there.
    pub(super) fn found(&self, hay: &[u8]) -> BTreeSet<String> {
        let mut found = self.exact.found(hay);
        found.extend(self.folded.found(&hay.to_ascii_lowercase()));
        found
    }

    /// The first line in which something is found.
    pub(super) fn line(&self, hay: &[u8]) -> Option<String> {
        let mut lines = hay.split(|&byte| byte == b'\n');
        let line = lines.find(|line| !self.found(line).is_empty())?;
        Some(String::from_utf8_lossy(line).into_owned())
    }
}

/// Needles by their first bytes, so that a haystack of megabytes is walked through once.
struct Index {
    by_start: HashMap<[u8; START], Vec<(String, Vec<u8>)>>,
    /// Whether any begins with these two bytes.
    begins: Vec<bool>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            by_start: HashMap::new(),
            begins: vec![false; 1 << 16],
        }
    }
}

impl Index {
    fn add(&mut self, what: String, needle: Vec<u8>) {
        let start = *needle.first_chunk().expect("long enough to be distinctive");
        self.begins[usize::from(u16::from_be_bytes([start[0], start[1]]))] = true;
        self.by_start.entry(start).or_default().push((what, needle));
    }

    fn found(&self, hay: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for at in 0..hay.len() {
            let rest = &hay[at..];
            let Some(start) = rest.first_chunk::<START>() else {
                break;
            };
            if !self.begins[usize::from(u16::from_be_bytes([start[0], start[1]]))] {
                continue;
            }
            let here = self.by_start.get(start).into_iter().flatten();
            let here = here.filter(|(_, needle)| rest.starts_with(needle));
            found.extend(here.map(|(what, _)| what.clone()));
        }
        found
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

/// What stands in base64 for these bytes whatever is around them, `offset` bytes after a multiple of three.
fn inside_base64(bytes: &[u8], offset: usize, standard: bool) -> String {
    let padded = [&vec![0; offset], bytes].concat();
    let text = if standard {
        STANDARD_NO_PAD.encode(&padded)
    } else {
        URL_SAFE_NO_PAD.encode(&padded)
    };
    let (begin, end) = ((8 * offset).div_ceil(6), 8 * padded.len() / 6);
    text[begin..end].to_owned()
}

#[test]
fn a_value_is_found_in_whatever_it_is_written_as() {
    let needles = Needles::of([Fact {
        what: "name".to_owned(),
        forms: vec!["Zebedee Ångström".to_owned()],
    }]);
    let value = "Zebedee Ångström";
    let digest = digest(&SHA256, value.to_lowercase().as_bytes());
    for (hay, encoding) in [
        (b"xx zeBEDee \xc3\x85ngstr\xc3\xb6m yy".to_vec(), "text"),
        (
            hexadecimal(value.as_bytes()).to_uppercase().into_bytes(),
            "hexadecimal",
        ),
        (
            STANDARD_NO_PAD.encode(format!("a{value}b")).into_bytes(),
            "base64",
        ),
        (
            URL_SAFE_NO_PAD.encode(format!("ab{value}c")).into_bytes(),
            "base64",
        ),
        (
            b"q=Zebedee%20\xc3\x85ngstr\xc3\xb6m".to_vec(),
            "a part of a URL",
        ),
        (digest.as_ref().to_vec(), "a digest"),
        (hexadecimal(digest.as_ref()).into_bytes(), "a digest"),
    ] {
        let found = needles.found(&hay);
        assert!(
            found.contains(&format!("name as {encoding}")),
            "{encoding}: {found:?}"
        );
    }
    assert!(
        needles
            .found(b"Zebedee Angstrom, and nothing else")
            .is_empty()
    );
}
