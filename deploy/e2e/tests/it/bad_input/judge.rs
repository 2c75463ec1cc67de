//! What an answer to bad input may be.

use prost_reflect::MessageDescriptor;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    fault::Fault,
    values::{Mutation, credentials, is_credential},
};
use crate::harness::person::reason_of;

/// What is wrong with an answer to bad input, if anything.
pub(super) fn judge(
    message: &MessageDescriptor,
    mutation: &Mutation,
    outcome: Result<(), Status>,
) -> Option<String> {
    let Mutation { field, fault, .. } = mutation;
    let is_always_wrong = fault.is_always_wrong(field);
    let Err(status) = outcome else {
        return is_always_wrong.then(|| format!("{field} with {fault:?} was accepted"));
    };
    let reason = reason_of(&status).unwrap_or_default();
    let complaint = |what: &str| {
        let mut text = format!("{status:?}");
        // A mask of ten thousand paths must not come back as ten thousand complaints.
        text.truncate(text.floor_char_boundary(1_000));
        Some(format!("{field} with {fault:?}: {what}: {text}"))
    };
    match status.code() {
        Code::InvalidArgument if reason == "INVALID_FIELDS" => {
            let violated = violated_fields(&status);
            if violated.iter().any(|violated| names(violated, field)) {
                None
            } else {
                complaint("the field is not named")
            }
        }
        Code::NotFound | Code::FailedPrecondition if !is_always_wrong => None,
        // A position that no database comes to.
        Code::Unavailable if *fault == Fault::Greatest && reason == "REVISION_NOT_REACHED" => None,
        // A credential that was never given: garbage, or what the fault has made of it.
        Code::Unauthenticated if is_credential(message.full_name(), field) => None,
        Code::Unauthenticated if !is_always_wrong => {
            let has_some = !credentials(message.full_name()).is_empty();
            if has_some {
                None
            } else {
                complaint("unexpected")
            }
        }
        _ => complaint("unexpected"),
    }
}

/// Whether a violation's path means the field: with or without indexes, of the field or of a mask's paths.
fn names(violated: &str, field: &str) -> bool {
    let mut path = String::new();
    for part in violated.split('[') {
        // What stands before the bracket that closes is an index, but for the first part, which has none.
        path.push_str(part.split_once(']').map_or(part, |(_, rest)| rest));
    }
    path.strip_prefix(field)
        .is_some_and(|rest| rest.is_empty() || rest == ".paths")
}

/// The fields that a refusal names.
pub(super) fn violated_fields(status: &Status) -> Vec<String> {
    status
        .get_details_bad_request()
        .map(|details| details.field_violations)
        .unwrap_or_default()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}
