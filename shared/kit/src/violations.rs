//! Every violated field of a request, gathered so that one answer names them all.

use std::fmt::Display;

use crate::status::Failure;

/// The violations found so far.
#[derive(Debug, Default)]
pub struct Violations(Vec<(String, String)>);

impl Violations {
    /// No violation yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one: the path of the field as the contract spells it, and what is wrong with it.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push((field.into(), description.into()));
    }

    /// The value of a parsed field; adds the violation when it did not parse.
    pub fn take<T>(
        &mut self,
        field: impl Into<String>,
        parsed: Result<T, impl Display>,
    ) -> Option<T> {
        parsed
            .map_err(|problem| self.add(field, problem.to_string()))
            .ok()
    }

    /// Whether nothing is violated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the check.
    ///
    /// # Errors
    ///
    /// `INVALID_FIELDS` with every violation.
    pub fn finish(self) -> Result<(), Failure> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Failure::invalid_fields(self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn one_answer_names_every_violated_field() {
        let mut violations = Violations::new();
        assert_eq!(violations.take("age", "7".parse::<u8>()), Some(7));
        assert_eq!(violations.take("size", "x".parse::<u8>()), None);
        violations.add("email", "is not an address");
        let status = Status::from(violations.finish().unwrap_err());
        let details = status.get_details_bad_request().unwrap();
        let fields: Vec<_> = details
            .field_violations
            .iter()
            .map(|v| v.field.as_str())
            .collect();
        assert_eq!(fields, ["size", "email"]);
    }

    #[test]
    fn nothing_violated_is_no_failure() {
        assert!(Violations::new().finish().is_ok());
    }
}
