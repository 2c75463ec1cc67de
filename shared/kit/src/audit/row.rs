//! A row of the log as it stands in the table, and what its hash covers.

use sea_orm::FromQueryResult;
use serde::Serialize;

use crate::secret::join;

/// Names what is hashed, and the version of the encoding.
const TAG: &[u8] = b"identity audit event 1";

/// The columns of a row, in the order of the table.
pub(super) const COLUMNS: &str =
    "sequence, created_at, actor_kind, actor_id, session_id, action, outcome,
    subject_kind, subject_id, request_id, epoch, revision, details, sealed, previous_hash, hash";

#[derive(Clone, Debug, Default, PartialEq, Eq, FromQueryResult, Serialize)]
pub(super) struct Row {
    pub(super) sequence: i64,
    pub(super) created_at: i64,
    pub(super) actor_kind: String,
    pub(super) actor_id: String,
    pub(super) session_id: String,
    pub(super) action: String,
    pub(super) outcome: String,
    pub(super) subject_kind: String,
    pub(super) subject_id: String,
    pub(super) request_id: String,
    pub(super) epoch: String,
    pub(super) revision: i64,
    pub(super) details: String,
    pub(super) sealed: Option<String>,
    pub(super) previous_hash: String,
    pub(super) hash: String,
}

impl Row {
    /// Everything but the hash itself, so that no two rows give the same bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        join(&[
            TAG,
            self.previous_hash.as_bytes(),
            &self.sequence.to_be_bytes(),
            &self.created_at.to_be_bytes(),
            self.actor_kind.as_bytes(),
            self.actor_id.as_bytes(),
            self.session_id.as_bytes(),
            self.action.as_bytes(),
            self.outcome.as_bytes(),
            self.subject_kind.as_bytes(),
            self.subject_id.as_bytes(),
            self.request_id.as_bytes(),
            self.epoch.as_bytes(),
            &self.revision.to_be_bytes(),
            self.details.as_bytes(),
            &[u8::from(self.sealed.is_some())],
            self.sealed.as_deref().unwrap_or_default().as_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_a_row_is_the_one_that_is_written_down() {
        let row = Row {
            sequence: 1,
            actor_id: "ada".to_owned(),
            ..Row::default()
        };
        let mut expected = 22_u64.to_be_bytes().to_vec();
        expected.extend_from_slice(b"identity audit event 1");
        expected.extend_from_slice(&0_u64.to_be_bytes());
        for number in [8, 1, 8, 0, 0, 3] {
            expected.extend_from_slice(&u64::to_be_bytes(number));
        }
        expected.extend_from_slice(b"ada");
        assert!(row.encode().starts_with(&expected));
    }

    #[test]
    fn every_column_but_the_hash_counts() {
        let row = Row::default();
        let text = || "x".to_owned();
        let others = [
            Row {
                sequence: 1,
                ..row.clone()
            },
            Row {
                created_at: 1,
                ..row.clone()
            },
            Row {
                actor_kind: text(),
                ..row.clone()
            },
            Row {
                actor_id: text(),
                ..row.clone()
            },
            Row {
                session_id: text(),
                ..row.clone()
            },
            Row {
                action: text(),
                ..row.clone()
            },
            Row {
                outcome: text(),
                ..row.clone()
            },
            Row {
                subject_kind: text(),
                ..row.clone()
            },
            Row {
                subject_id: text(),
                ..row.clone()
            },
            Row {
                request_id: text(),
                ..row.clone()
            },
            Row {
                epoch: text(),
                ..row.clone()
            },
            Row {
                revision: 1,
                ..row.clone()
            },
            Row {
                details: text(),
                ..row.clone()
            },
            Row {
                sealed: Some(String::new()),
                ..row.clone()
            },
            Row {
                sealed: Some(text()),
                ..row.clone()
            },
            Row {
                previous_hash: text(),
                ..row.clone()
            },
        ];
        let mut seen = vec![row.encode()];
        for other in others {
            assert!(!seen.contains(&other.encode()), "{other:?}");
            seen.push(other.encode());
        }
    }
}
