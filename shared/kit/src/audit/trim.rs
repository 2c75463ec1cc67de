//! Trimming: the oldest rows go, and an anchor stays from which the chain goes on.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use super::{
    entry::{Act, Actor, Entry, Outcome, Record, Subject},
    log::AuditLog,
    verify::{Anchor, BATCH, Flaw, Link, VerifyError, rows_after},
};
use crate::{
    clock::Timestamp,
    database::{Database, StoreError, WriteTransaction},
};

/// Removes rows from before `older_than` and returns how many, in transactions of bounded size. Each leaves an entry
/// that says up to where.
///
/// Rows are verified before they go, and where the chain is broken nothing goes: it is evidence.
///
/// # Errors
///
/// The chain is broken, or the database does not take it.
pub async fn trim(
    database: &Database,
    log: &Arc<AuditLog>,
    older_than: Timestamp,
) -> Result<u64, VerifyError> {
    let mut trimmed = 0;
    loop {
        let part = trim_part(database, log, older_than).await?;
        trimmed += part;
        if part < BATCH.unsigned_abs() {
            return Ok(trimmed);
        }
    }
}

async fn trim_part(
    database: &Database,
    log: &Arc<AuditLog>,
    older_than: Timestamp,
) -> Result<u64, VerifyError> {
    let log = Arc::clone(log);
    let written = database
        .write(move |transaction| {
            let log = Arc::clone(&log);
            Box::pin(async move { remove(transaction, &log, older_than).await })
        })
        .await?;
    Ok(written.value)
}

async fn remove(
    transaction: &WriteTransaction,
    log: &Arc<AuditLog>,
    older_than: Timestamp,
) -> Result<u64, VerifyError> {
    let anchor = lock_anchor(transaction).await?;
    if !anchor.is_sound(log) {
        return Err(VerifyError::broken(anchor.sequence, Flaw::Anchor));
    }
    let mut link = Link {
        sequence: anchor.sequence,
        hash: anchor.hash,
    };
    for row in rows_after(transaction, link.sequence).await? {
        if Timestamp::from_micros(row.created_at) >= older_than {
            break;
        }
        link.follow(log, &row)?;
    }
    let removed = (link.sequence - anchor.sequence).unsigned_abs();
    if removed == 0 {
        return Ok(0);
    }
    let tag = log.anchor_tag(link.sequence, &link.hash);
    let first = anchor.sequence + 1;
    execute(
        transaction,
        "UPDATE audit_anchor SET sequence = $1, hash = $2, tag = $3 WHERE id = 1",
        vec![link.sequence.into(), link.hash.into(), tag.into()],
    )
    .await?;
    execute(
        transaction,
        "DELETE FROM audit_events WHERE sequence <= $1",
        vec![link.sequence.into()],
    )
    .await?;
    let act = Act::new(Actor::system("upkeep"), "TrimAuditEvents");
    transaction.audit(
        log,
        Entry {
            act: act.on(Subject::new("audit_events", link.sequence.to_string())),
            outcome: Outcome::Done,
            record: Record::default()
                .fact("first_sequence", first.to_string())
                .fact("last_sequence", link.sequence.to_string()),
        },
    );
    Ok(removed)
}

/// The anchor, which stays as it is until the transaction ends, so that two replicas trim one after the other.
async fn lock_anchor(transaction: &WriteTransaction) -> Result<Anchor, StoreError> {
    let backend = transaction.get_database_backend();
    let sql = match backend {
        sea_orm::DbBackend::Sqlite => "SELECT sequence, hash, tag FROM audit_anchor WHERE id = 1",
        _ => "SELECT sequence, hash, tag FROM audit_anchor WHERE id = 1 FOR UPDATE",
    };
    let statement = Statement::from_string(backend, sql);
    let anchor = Anchor::find_by_statement(statement)
        .one(transaction)
        .await?;
    anchor.ok_or_else(|| StoreError::Corrupt("the audit log has no anchor".to_owned()))
}

async fn execute(
    transaction: &WriteTransaction,
    sql: &'static str,
    values: Vec<sea_orm::Value>,
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}
