//! The feed of a database: events committed with their changes, in the order of their revisions.
//!
//! One counter row, `feed_head`, gives the revisions. It is changed in the last statement of a writing transaction,
//! so its lock outlives the transaction's visibility: the order of commits is the order of revisions, and whoever
//! reads a revision has read all lower ones. A sequence has not this property.

mod append;
mod hint;
mod past;
mod read;
mod tail;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr};

pub(crate) use self::append::{Told, append};
pub use self::{
    append::{beat, trim},
    past::{Past, begin_restore, create_past_table, finish_restore, past, put_back_to},
    read::{Cursor, Head, Read, StoredEvent, head, read, read_after},
    tail::{NotReached, Tail, TailHandler},
};
use crate::{entropy::SystemEntropy, id::new_id};

/// Creates the tables of the feed, with a new epoch. For a migration.
///
/// # Errors
///
/// The database refused.
pub async fn create_tables(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    // Only this name makes a column SQLite's own row id.
    let integer = match transaction.get_database_backend() {
        DbBackend::Sqlite => "INTEGER",
        _ => "BIGINT",
    };
    transaction
        .execute_unprepared(&format!(
            "CREATE TABLE feed_head (
                id {integer} PRIMARY KEY CHECK (id = 1),
                epoch TEXT NOT NULL,
                revision BIGINT NOT NULL,
                floor BIGINT NOT NULL,
                heartbeat_at BIGINT NOT NULL
            )"
        ))
        .await?;
    transaction
        .execute_unprepared(&format!(
            "CREATE TABLE feed_event (
                revision {integer} PRIMARY KEY,
                kind TEXT NOT NULL,
                payload TEXT NOT NULL,
                nonce TEXT NOT NULL,
                created_at BIGINT NOT NULL
            )"
        ))
        .await?;
    // A migration has no source of randomness to be given, and ids are plain letters and digits.
    let epoch = new_id(&SystemEntropy);
    transaction
        .execute_unprepared(&format!(
            "INSERT INTO feed_head (id, epoch, revision, floor, heartbeat_at) VALUES (1, '{epoch}', 0, 0, 0)"
        ))
        .await?;
    Ok(())
}
