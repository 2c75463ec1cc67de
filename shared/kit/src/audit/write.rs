//! The statements that write rows of the log, in the transaction that holds the lock of the head.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use super::append::Rows;

/// One statement for everything: rows, keys that came to be, keys that are to be no more, and the head.
const WRITE_POSTGRES: &str = "
    WITH made AS (
        INSERT INTO subject_keys (subject, sealed_key)
        SELECT k.subject, k.sealed_key FROM json_to_recordset($5::text::json) AS k(subject text, sealed_key text)
    ), erased AS (
        DELETE FROM subject_keys WHERE subject IN (SELECT json_array_elements_text($6::text::json))
    ), written AS (
        INSERT INTO audit_events (sequence, created_at, actor_kind, actor_id, session_id, action, outcome,
            subject_kind, subject_id, request_id, epoch, revision, details, sealed, previous_hash, hash)
        SELECT r.sequence, r.created_at, r.actor_kind, r.actor_id, r.session_id, r.action, r.outcome,
            r.subject_kind, r.subject_id, r.request_id, r.epoch, r.revision, r.details, r.sealed,
            r.previous_hash, r.hash
        FROM json_to_recordset($7::text::json) AS r(sequence bigint, created_at bigint, actor_kind text,
            actor_id text, session_id text, action text, outcome text, subject_kind text, subject_id text,
            request_id text, epoch text, revision bigint, details text, sealed text, previous_hash text, hash text)
    )
    UPDATE feed_head SET audit_sequence = $1, audit_hash = $2, audit_tag = $3, audit_at = $4 WHERE id = 1";

/// SQLite takes no writes in a WITH, and its statements cost no round trip.
const WRITE_SQLITE: &str = "
    INSERT INTO audit_events (sequence, created_at, actor_kind, actor_id, session_id, action, outcome,
        subject_kind, subject_id, request_id, epoch, revision, details, sealed, previous_hash, hash)
    SELECT value ->> 'sequence', value ->> 'created_at', value ->> 'actor_kind', value ->> 'actor_id',
        value ->> 'session_id', value ->> 'action', value ->> 'outcome', value ->> 'subject_kind',
        value ->> 'subject_id', value ->> 'request_id', value ->> 'epoch', value ->> 'revision',
        value ->> 'details', value ->> 'sealed', value ->> 'previous_hash', value ->> 'hash'
    FROM json_each($1)";

const MAKE_KEYS_SQLITE: &str = "
    INSERT INTO subject_keys (subject, sealed_key)
    SELECT value ->> 'subject', value ->> 'sealed_key' FROM json_each($1)";

const ERASE_KEYS_SQLITE: &str =
    "DELETE FROM subject_keys WHERE subject IN (SELECT value FROM json_each($1))";

const SET_HEAD: &str = "
    UPDATE feed_head SET audit_sequence = $1, audit_hash = $2, audit_tag = $3, audit_at = $4 WHERE id = 1";

const KEYS_SQLITE: &str = "SELECT subject, sealed_key FROM subject_keys WHERE subject IN (SELECT value FROM json_each($1))";

/// The keys of these names: on PostgreSQL the row of the head brought them.
pub(crate) async fn keys(
    transaction: &impl ConnectionTrait,
    head: &QueryResult,
    names: Option<String>,
) -> Result<HashMap<String, String>, DbErr> {
    let Some(names) = names else {
        return Ok(HashMap::new());
    };
    if transaction.get_database_backend() != DbBackend::Sqlite {
        let keys: Option<String> = head.try_get("", "subject_keys")?;
        return keys.map_or_else(
            || Ok(HashMap::new()),
            |keys| serde_json::from_str(&keys).map_err(|error| DbErr::Type(error.to_string())),
        );
    }
    let rows = transaction
        .query_all_raw(Statement::from_sql_and_values(
            DbBackend::Sqlite,
            KEYS_SQLITE,
            [names.into()],
        ))
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("", "subject")?, row.try_get("", "sealed_key")?)))
        .collect()
}

/// Writes the rows and the head.
pub(crate) async fn write(transaction: &impl ConnectionTrait, rows: Rows) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    let head = [
        rows.head.sequence.into(),
        rows.head.hash.into(),
        rows.head.tag.into(),
        rows.head.at.into(),
    ];
    if backend != DbBackend::Sqlite {
        let none = || "[]".to_owned();
        let rest = [
            rows.keys.unwrap_or_else(none).into(),
            rows.erased.unwrap_or_else(none).into(),
            rows.events.into(),
        ];
        let values = head.into_iter().chain(rest);
        let statement = Statement::from_sql_and_values(backend, WRITE_POSTGRES, values);
        transaction.execute_raw(statement).await?;
        return Ok(());
    }
    let of_json = [
        (MAKE_KEYS_SQLITE, rows.keys),
        (ERASE_KEYS_SQLITE, rows.erased),
        (WRITE_SQLITE, Some(rows.events)),
    ];
    for (statement, json) in of_json {
        if let Some(json) = json {
            let statement = Statement::from_sql_and_values(backend, statement, [json.into()]);
            transaction.execute_raw(statement).await?;
        }
    }
    transaction
        .execute_raw(Statement::from_sql_and_values(backend, SET_HEAD, head))
        .await?;
    Ok(())
}
