//! E-mail addresses: unique without regard to case and to how their domain is written, answered as written.

use email_address::{EmailAddress, Options};
use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};
use unicode_normalization::UnicodeNormalization;

use super::{
    problem::Problem,
    text::{half_width, text_type},
};

text_type! {
    /// An address of RFC 5321 in NFC, without full-width forms and the dot after its domain, at most 254 characters.
    Email
}

impl Email {
    /// The longest address, in characters and in bytes.
    pub const MAX: usize = 254;

    /// Reads an address, in NFC; white space around it is an error.
    ///
    /// # Errors
    /// When it is empty, too long or no address.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        // A full-width character has three bytes.
        if raw.len() > Self::MAX * 3 {
            return Err(Problem::TooLong(Self::MAX));
        }
        if raw.chars().any(char::is_control) {
            return Err(Problem::ControlCharacter);
        }
        let text: String = half_width(raw).nfc().map(full_stop).collect();
        let text = text.strip_suffix('.').unwrap_or(&text);
        if text.len() > Self::MAX {
            return Err(Problem::TooLong(Self::MAX));
        }
        let options = Options::default()
            .without_display_text()
            .without_domain_literal();
        let format = Problem::Format("must be an e-mail address such as ada@example.org");
        EmailAddress::parse_with_options(text, options).map_err(|_| format)?;
        match text
            .rsplit_once('@')
            .and_then(|(_, domain)| a_labels(domain))
        {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(format),
        }
    }

    /// What makes it unique: the local part in lower case, and the domain as the network knows it.
    #[must_use]
    pub fn key(&self) -> String {
        email_key(&self.0)
    }
}

/// The form under which an address is looked up, also of text that may be none: the local part in lower case, the
/// domain in A-labels (UTS 46), in lower case and without the dot of the root.
#[must_use]
pub fn email_key(text: &str) -> String {
    let text: String = half_width(text).chars().map(full_stop).collect();
    match text.rsplit_once('@') {
        Some((local, domain)) => {
            let domain = a_labels(domain).unwrap_or_else(|| lower(domain));
            format!("{}@{domain}", lower(local))
        }
        None => lower(&text),
    }
}

/// The domain as the network knows it; `None` when it can be no name of a host.
fn a_labels(domain: &str) -> Option<String> {
    let ascii = Uts46::new().to_ascii(
        domain.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::VerifyAllowRootDot,
    );
    let ascii = ascii.ok()?;
    Some(ascii.strip_suffix('.').unwrap_or(&ascii).to_owned())
}

/// The full stops of East Asia are those of a domain (UTS 46).
const fn full_stop(character: char) -> char {
    match character {
        '\u{3002}' | '\u{ff61}' => '.',
        other => other,
    }
}

fn lower(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

super::text::stored_type!(Email);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_kept_and_does_not_count() {
        let email = Email::parse("Ada@Example.ORG").unwrap();
        assert_eq!(email.as_str(), "Ada@Example.ORG");
        assert_eq!(email.key(), "ada@example.org");
    }

    #[test]
    fn composed_and_decomposed_addresses_are_one() {
        let composed = Email::parse("zoë@example.org").unwrap();
        let decomposed = Email::parse("zoe\u{308}@example.org").unwrap();
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn a_domain_is_one_however_it_is_written() {
        for (left, right) in [
            ("a@exämple.org", "a@xn--exmple-cua.org"),
            ("a@EXÄMPLE.org", "a@exa\u{308}mple.ORG"),
            ("a@example.org", "a@example.org."),
            ("a@example.org", "a@example\u{3002}org"),
            ("a@example.org", "\u{ff41}\u{ff20}\u{ff25}xample\u{ff0e}org"),
            ("A@straße.example", "a@xn--strae-oqa.example"),
        ] {
            let key = |raw| Email::parse(raw).unwrap().key();
            assert_eq!(key(left), key(right), "{left} {right}");
            assert!(key(left).is_ascii());
            // A key is its own key: what is looked up by it is found.
            assert_eq!(email_key(&key(left)), key(left));
        }
        let dotted = Email::parse("Ada@Example.org.").unwrap();
        assert_eq!(dotted.as_str(), "Ada@Example.org");
    }

    #[test]
    fn the_key_of_text_that_is_no_address_is_its_own_key() {
        for raw in [
            "",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a@-.-",
            "no sign",
            "a@xn--\u{e9}",
        ] {
            let key = email_key(raw);
            assert_eq!(email_key(&key), key, "{raw:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert_eq!(Email::parse(""), Err(Problem::Empty));
        assert_eq!(
            Email::parse("a\0@example.org"),
            Err(Problem::ControlCharacter)
        );
        let long = format!("{}@example.org", "a".repeat(250));
        assert_eq!(Email::parse(&long), Err(Problem::TooLong(254)));
        for raw in [
            "nobody",
            "@example.org",
            "a@",
            "Ada <ada@example.org>",
            "a@[127.0.0.1]",
            " a@example.org",
            "a@@b.org",
            "a@b_c.org",
            "a@-b.org",
            "a@xn--a.org",
            "a@example.org..",
            "a@\u{200d}.org",
        ] {
            assert!(
                matches!(Email::parse(raw), Err(Problem::Format(_))),
                "{raw:?}"
            );
        }
    }
}
