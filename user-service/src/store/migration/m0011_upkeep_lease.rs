//! Which process does what is done beside the calls.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE upkeep_lease (
                id integer PRIMARY KEY CHECK (id = 1),
                holder text NOT NULL,
                held_until bigint NOT NULL
            )",
            "INSERT INTO upkeep_lease (id, holder, held_until) VALUES (1, '', 0)",
        ],
    )
    .await
}
