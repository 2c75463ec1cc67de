//! What lets a subject's row go without its generation ever falling.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "ALTER TABLE subjects ADD COLUMN due_at bigint",
            "CREATE INDEX subjects_due ON subjects (due_at) WHERE due_at IS NOT NULL",
            "CREATE TABLE subject_floor (
                id integer PRIMARY KEY,
                generation bigint NOT NULL
            )",
            "INSERT INTO subject_floor (id, generation) SELECT 1, COALESCE(MAX(generation), 1) FROM subjects",
            // Housekeeping looks at every row there is, once.
            "UPDATE subjects SET due_at = 0",
        ],
    )
    .await
}
