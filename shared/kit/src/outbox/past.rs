//! The lives of a database that a restore has ended: what of each still holds.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};

use crate::{
    clock::Timestamp,
    database::{StoreError, WriteTransaction},
    position::Position,
};

/// What has become of a position of another epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// The database was restored from a copy that had it.
    Held,
    /// The database was restored from a copy that did not have it: nobody will ever see it.
    Lost,
    /// Nothing is known of its epoch.
    Unknown,
}

/// Creates the table of ended epochs. For a migration, after that of the feed.
///
/// # Errors
///
/// The database refused.
pub async fn create_past_table(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    transaction
        .execute_unprepared(
            // Without the moment of its end, an epoch is the one that a restore is about to end.
            "CREATE TABLE feed_past (
                epoch TEXT PRIMARY KEY,
                revision BIGINT NOT NULL,
                ended_at BIGINT
            )",
        )
        .await?;
    Ok(())
}

/// Notes how far the epoch goes that a restore is about to end. What is written until it has ended, and was never told
/// to anybody, does not count; so what was noted before stays.
///
/// # Errors
///
/// The database does not take it.
pub async fn begin_restore(transaction: &WriteTransaction) -> Result<(), StoreError> {
    run(
        transaction,
        "INSERT INTO feed_past (epoch, revision)
         SELECT epoch, revision FROM feed_head WHERE id = 1 ON CONFLICT (epoch) DO NOTHING",
        [],
    )
    .await
}

/// To which revision the database was put back whose restore was begun.
///
/// # Errors
///
/// The database does not answer, or none was begun.
pub async fn put_back_to(connection: &impl ConnectionTrait) -> Result<u64, StoreError> {
    let row = connection
        .query_one_raw(Statement::from_string(
            connection.get_database_backend(),
            "SELECT MIN(revision) AS revision FROM feed_past WHERE ended_at IS NULL",
        ))
        .await?;
    let revision: Option<i64> = row
        .map(|row| row.try_get("", "revision"))
        .transpose()?
        .flatten();
    revision
        .map(i64::unsigned_abs)
        .ok_or_else(|| StoreError::Corrupt("no restore was begun".to_owned()))
}

/// Ends the epoch that a restore was begun in, and begins a new one. `lost` is an epoch that the restored copy knows
/// nothing of, since it was taken before: of that one nothing holds.
///
/// Watchers stay in their table: a lease of before the restore may not have lapsed yet, and whoever waits for everybody
/// waits for those as well. What they have acknowledged is of the old epoch and counts for nothing.
///
/// # Errors
///
/// The database does not take it.
pub async fn finish_restore(
    transaction: &WriteTransaction,
    lost: Option<&str>,
    epoch: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let now = now.as_micros();
    run(
        transaction,
        "UPDATE feed_past SET ended_at = $1 WHERE ended_at IS NULL",
        [now.into()],
    )
    .await?;
    if let Some(lost) = lost {
        run(
            transaction,
            "INSERT INTO feed_past (epoch, revision, ended_at) VALUES ($1, 0, $2)
             ON CONFLICT (epoch) DO NOTHING",
            [lost.into(), now.into()],
        )
        .await?;
    }
    run(
        transaction,
        "UPDATE feed_head SET epoch = $1 WHERE id = 1",
        [epoch.into()],
    )
    .await
}

/// What has become of a position that is not of the epoch of this database.
///
/// # Errors
///
/// The database does not answer.
pub async fn past(
    connection: &impl ConnectionTrait,
    position: &Position,
) -> Result<Past, StoreError> {
    let row = connection
        .query_one_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT revision FROM feed_past WHERE epoch = $1 AND ended_at IS NOT NULL",
            [position.epoch.as_str().into()],
        ))
        .await?;
    let Some(row) = row else {
        return Ok(Past::Unknown);
    };
    let revision: i64 = row.try_get("", "revision")?;
    Ok(if position.revision <= revision.unsigned_abs() {
        Past::Held
    } else {
        Past::Lost
    })
}

async fn run<const N: usize>(
    transaction: &WriteTransaction,
    sql: &'static str,
    values: [sea_orm::Value; N],
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    transaction
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    Ok(())
}
