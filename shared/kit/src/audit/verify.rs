//! Walking along the chain: the first link that does not hold is named by its sequence number.

use std::fmt;

use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};
use thiserror::Error;

use super::{
    append::Head,
    log::{AuditLog, is_same},
    row::{COLUMNS, Row},
};
use crate::database::{Database, StoreError};

/// Rows that are read at once.
pub(super) const BATCH: i64 = 1_000;

/// A place in the chain, to be noted where the database's owner cannot change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The sequence number of a row; 0 before the first.
    pub sequence: u64,
    /// The hash of that row, 64 hexadecimal digits; empty before the first.
    pub hash: String,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

/// A chain that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many rows there are.
    pub count: u64,
    /// Up to where it was trimmed.
    pub anchor: Mark,
    /// Its end.
    pub head: Mark,
}

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// The row is not what was written.
    #[error("the row was altered or forged")]
    Altered,
    /// The row is good by itself and does not follow the one before it.
    #[error("the row does not follow the one before it")]
    Unlinked,
    /// There is no such row, and there are later ones or should be.
    #[error("the row is missing")]
    Missing,
    /// The chain ended before this row.
    #[error("the row is behind the end of the chain")]
    BehindHead,
    /// The end of the chain is not what was written.
    #[error("the head of the chain was altered")]
    Head,
    /// The place up to which the log was trimmed is not what was written.
    #[error("the anchor of the chain was altered")]
    Anchor,
    /// A head that was noted before is not in the chain.
    #[error("the chain had another row here when its head was noted")]
    Noted,
}

/// Why a chain was not found good.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// It is broken.
    #[error("the audit log is broken at sequence {sequence}: {flaw}")]
    Broken {
        /// The first row that is wrong, or that is not there.
        sequence: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VerifyError {
    pub(super) const fn broken(sequence: i64, flaw: Flaw) -> Self {
        Self::Broken {
            sequence: sequence.unsigned_abs(),
            flaw,
        }
    }
}

/// Where the chain ends, as the database has it.
///
/// # Errors
///
/// The database does not answer, or the head is not one of this log ([`Flaw::Head`]).
pub async fn head(connection: &DatabaseConnection, log: &AuditLog) -> Result<Mark, VerifyError> {
    let head = read_head(connection).await?;
    if !head.is_sound(log) {
        return Err(VerifyError::broken(head.sequence, Flaw::Head));
    }
    Ok(mark(head.sequence, head.hash))
}

/// Walks along the whole chain, in batches, beside whoever writes; `noted` are heads that were noted before.
///
/// # Errors
///
/// The first link that does not hold, or that the database does not answer.
pub async fn verify(
    database: &Database,
    log: &AuditLog,
    noted: &[Mark],
) -> Result<Verified, VerifyError> {
    let connection = database.aside();
    loop {
        let anchor = Anchor::read(connection).await?;
        let walked = walk(connection, log, &anchor, noted).await;
        // What was trimmed while it was walked over is no flaw.
        if walked.is_err() && Anchor::read(connection).await? != anchor {
            continue;
        }
        return walked;
    }
}

async fn walk(
    connection: &DatabaseConnection,
    log: &AuditLog,
    anchor: &Anchor,
    noted: &[Mark],
) -> Result<Verified, VerifyError> {
    if !anchor.is_sound(log) {
        return Err(VerifyError::broken(anchor.sequence, Flaw::Anchor));
    }
    let mut link = Link {
        sequence: anchor.sequence,
        hash: anchor.hash.clone(),
    };
    let mut open: Vec<&Mark> = noted.iter().collect();
    link.check_noted(&mut open)?;
    loop {
        let rows = rows_after(connection, link.sequence).await?;
        for row in &rows {
            link.follow(log, row)?;
            link.check_noted(&mut open)?;
        }
        if !rows.is_empty() {
            continue;
        }
        // Read after the rows and committed with them, so that it is never behind one that was read.
        let head = read_head(connection).await?;
        if head.sequence > link.sequence {
            // Written meanwhile, or removed.
            if rows_after(connection, link.sequence).await?.is_empty() {
                return Err(VerifyError::broken(link.sequence + 1, Flaw::Missing));
            }
            continue;
        }
        if head.sequence < link.sequence {
            let first = head.sequence.max(anchor.sequence) + 1;
            return Err(VerifyError::broken(first, Flaw::BehindHead));
        }
        if !head.is_sound(log) || head.hash != link.hash {
            return Err(VerifyError::broken(head.sequence, Flaw::Head));
        }
        // What lies before the anchor was trimmed and cannot be compared; what lies behind the head is gone.
        if let Some(mark) = open
            .iter()
            .find(|mark| mark.sequence > link.sequence.unsigned_abs())
        {
            return Err(VerifyError::Broken {
                sequence: mark.sequence,
                flaw: Flaw::Missing,
            });
        }
        return Ok(Verified {
            count: (link.sequence - anchor.sequence).unsigned_abs(),
            anchor: mark(anchor.sequence, anchor.hash.clone()),
            head: mark(link.sequence, link.hash),
        });
    }
}

/// The last row that was found good.
pub(super) struct Link {
    pub(super) sequence: i64,
    pub(super) hash: String,
}

impl Link {
    /// Goes on to the next row, if it is the next one.
    pub(super) fn follow(&mut self, log: &AuditLog, row: &Row) -> Result<(), VerifyError> {
        let next = self.sequence + 1;
        if row.sequence != next {
            return Err(VerifyError::broken(next, Flaw::Missing));
        }
        if !log.holds(row) {
            return Err(VerifyError::broken(next, Flaw::Altered));
        }
        if row.previous_hash != self.hash {
            return Err(VerifyError::broken(next, Flaw::Unlinked));
        }
        self.sequence = next;
        self.hash.clone_from(&row.hash);
        Ok(())
    }

    /// Compares with the heads that were noted at this place.
    fn check_noted(&self, open: &mut Vec<&Mark>) -> Result<(), VerifyError> {
        let here = self.sequence.unsigned_abs();
        let is_other = |mark: &&Mark| mark.sequence == here && !is_same(&mark.hash, &self.hash);
        if open.iter().any(is_other) {
            return Err(VerifyError::broken(self.sequence, Flaw::Noted));
        }
        open.retain(|mark| mark.sequence != here);
        Ok(())
    }
}

/// Up to where the log was trimmed.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub(super) struct Anchor {
    pub(super) sequence: i64,
    pub(super) hash: String,
    pub(super) tag: String,
}

impl Anchor {
    async fn read(connection: &impl ConnectionTrait) -> Result<Self, StoreError> {
        const SQL: &str = "SELECT sequence, hash, tag FROM audit_anchor WHERE id = 1";
        let statement = Statement::from_string(connection.get_database_backend(), SQL);
        let anchor = Self::find_by_statement(statement).one(connection).await?;
        anchor.ok_or_else(|| StoreError::Corrupt("the audit log has no anchor".to_owned()))
    }

    /// Whether the log made this anchor. One that was never trimmed has none.
    pub(super) fn is_sound(&self, log: &AuditLog) -> bool {
        let tag = log.anchor_tag(self.sequence, &self.hash);
        self.sequence == 0 && self.hash.is_empty() || is_same(&tag, &self.tag)
    }
}

/// The next rows behind one.
pub(super) async fn rows_after(
    connection: &impl ConnectionTrait,
    sequence: i64,
) -> Result<Vec<Row>, StoreError> {
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        format!(
            "SELECT {COLUMNS} FROM audit_events WHERE sequence > $1 ORDER BY sequence LIMIT $2"
        ),
        [sequence.into(), BATCH.into()],
    );
    Ok(Row::find_by_statement(statement).all(connection).await?)
}

async fn read_head(connection: &impl ConnectionTrait) -> Result<Head, StoreError> {
    const SQL: &str =
        "SELECT audit_sequence, audit_hash, audit_tag, audit_at FROM feed_head WHERE id = 1";
    let statement = Statement::from_string(connection.get_database_backend(), SQL);
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| StoreError::Corrupt("the feed has no head".to_owned()))?;
    Ok(Head::of(&row)?)
}

const fn mark(sequence: i64, hash: String) -> Mark {
    Mark {
        sequence: sequence.unsigned_abs(),
        hash,
    }
}
