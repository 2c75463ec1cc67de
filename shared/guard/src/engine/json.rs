//! JSON objects read strictly: a member that stands twice, at any depth, makes the text malformed.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 ask for it: two readers that pick different ones of two members would
//! see two different tokens.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The members of an object, taken out one by one.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Reads one object and nothing after it; `None` for anything else.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match serde_json::from_slice::<Strict>(text) {
            Ok(Strict(Value::Object(members))) => Some(Self(members)),
            _ => None,
        }
    }

    /// Takes a member out; `None` when there is no such member.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes a string out; `None` when it is absent or of another type.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The names of what is left.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A JSON value without duplicate members.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without duplicate members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = object.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_duplicates_is_read() {
        let mut members =
            Members::parse(br#" {"a":"x","b":[1,{"a":2}],"c":null,"d":1.5,"e":true} "#)
                .expect("is an object");
        assert_eq!(members.take_text("a").as_deref(), Some("x"));
        assert_eq!(members.take_text("b"), None);
        assert_eq!(members.names().collect::<Vec<_>>(), ["c", "d", "e"]);
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":{"a":1,"a":2}}"#,
            r#"{"b":[{"a":1,"a":2}]}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1} x"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            r#"{"a":"\ud800"}"#,
            "{'a':1}",
            "[1]",
            "1",
            "\u{feff}{}",
            "",
        ] {
            assert!(Members::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Members::parse(b"{\"a\":\"\xff\"}").is_none());
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(4_000), "]".repeat(4_000));
        assert!(Members::parse(deep.as_bytes()).is_none());
    }
}
