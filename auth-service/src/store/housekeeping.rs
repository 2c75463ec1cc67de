//! What time has made meaningless, removed in batches that an index finds.

use std::time::Duration;

use identity_guard::clock::{self, Timestamp};
use identity_kit::database::{Database, StoreError};
use sea_orm::{ConnectionTrait as _, DbBackend, Value};

use super::values::{micros, statement};
use crate::domain::policy::SessionPolicy;

/// Rows of one transaction: short enough that nobody waits for it.
const BATCH: i64 = 500;

/// The first row of each kind, each from the end of its index.
const LOOK: &str = "SELECT \
    (SELECT MIN(due_at) FROM sessions) AS sessions, \
    (SELECT MIN(expires_at) FROM refresh_tokens) AS refresh_tokens, \
    (SELECT MIN(expires_at) FROM challenges) AS challenges, \
    (SELECT MIN(forgotten_at) FROM throttles) AS throttles, \
    (SELECT MIN(retain_until) FROM subjects WHERE retain_until IS NOT NULL) AS ends, \
    (SELECT MIN(due_at) FROM subjects WHERE due_at IS NOT NULL) AS subjects";

// Sealed successors whose window is over; such a row comes up again when the session needs no memory any more.
const UNSEAL: &str = "\
    UPDATE sessions SET sealed_successor = NULL, due_at = $3 + CASE \
        WHEN token_expires_at > idle_expires_at THEN token_expires_at ELSE idle_expires_at END \
    WHERE id IN (SELECT id FROM sessions \
        WHERE due_at <= $1 AND sealed_successor IS NOT NULL ORDER BY due_at LIMIT $2) \
        AND due_at <= $1";
// Only behind the mark of their subjects, which nobody would find any more.
const SESSIONS: &str = "\
    DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
        WHERE due_at <= $1 AND sealed_successor IS NULL ORDER BY due_at LIMIT $2) \
        AND due_at <= $1 AND NOT EXISTS (SELECT 1 FROM subjects \
            WHERE subjects.user_id = sessions.user_id AND subjects.due_at IS NULL)";
const REFRESH_TOKENS: &str = "\
    DELETE FROM refresh_tokens WHERE id IN (SELECT id FROM refresh_tokens \
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
const CHALLENGES: &str = "\
    DELETE FROM challenges WHERE id IN (SELECT id FROM challenges \
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
const THROTTLES: &str = "\
    DELETE FROM throttles WHERE id IN (SELECT id FROM throttles \
        WHERE forgotten_at <= $1 ORDER BY forgotten_at LIMIT $2) AND forgotten_at <= $1";

/// Changes the subjects of `$which` as far as `$and` still holds: by engine, SQLite first. On PostgreSQL nobody who logs
/// in is waited for, nor another replica: such a row has its turn at the next look.
macro_rules! on_subjects {
    ($change:literal, $which:literal, $and:expr) => {
        [
            concat!($change, " WHERE user_id IN (", $which, ") AND ", $and),
            concat!(
                $change,
                " WHERE user_id IN (",
                $which,
                " FOR UPDATE OF subjects SKIP LOCKED) AND ",
                $and
            ),
        ]
    };
}

/// What a subject's row is needed for. Above the floor none goes, whatever else may be wrong.
macro_rules! is_needed {
    () => {
        "(retain_until IS NOT NULL OR generation > (SELECT generation FROM subject_floor) \
            OR EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = subjects.user_id))"
    };
}

// Subjects whose sessions are about to be removed.
const MARK: [&str; 2] = on_subjects!(
    "UPDATE subjects SET due_at = $3",
    "SELECT subjects.user_id FROM subjects JOIN (SELECT user_id FROM sessions \
        WHERE due_at <= $1 AND sealed_successor IS NULL ORDER BY due_at LIMIT $2) AS gone \
        ON gone.user_id = subjects.user_id WHERE subjects.due_at IS NULL",
    "due_at IS NULL RETURNING generation"
);
// Ends of everything that have outlasted all tokens.
const FORGET: [&str; 2] = on_subjects!(
    "UPDATE subjects SET retain_until = NULL, due_at = $3",
    "SELECT user_id FROM subjects WHERE retain_until <= $1 ORDER BY retain_until LIMIT $2",
    "retain_until <= $1 RETURNING generation"
);
const KEEP: [&str; 2] = on_subjects!(
    "UPDATE subjects SET due_at = NULL",
    "SELECT user_id FROM subjects WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
    concat!("due_at <= $1 AND ", is_needed!())
);
const REMOVE: [&str; 2] = on_subjects!(
    "DELETE FROM subjects",
    "SELECT user_id FROM subjects WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
    concat!("due_at <= $1 AND NOT ", is_needed!())
);

/// Removes what is over; gives the number of rows that were touched. Where nothing is over, nothing is written.
///
/// # Errors
///
/// Those of the store; what was removed before stays removed.
pub async fn sweep(
    database: &Database,
    now: Timestamp,
    policy: &SessionPolicy,
) -> Result<u64, StoreError> {
    let sweep = Sweep {
        database,
        now,
        leeway: policy.leeway,
        subject_due_at: now.plus(policy.subject_rest()),
    };
    let mut touched = 0;
    for kind in sweep.look().await? {
        loop {
            let rows = sweep.batch(kind).await?;
            touched += rows;
            if rows < BATCH.unsigned_abs() {
                break;
            }
        }
    }
    Ok(touched)
}

/// What a batch is of.
#[derive(Clone, Copy)]
enum Kind {
    SealedSuccessors,
    Sessions,
    RefreshTokens,
    Challenges,
    Throttles,
    Ends,
    Subjects,
}

impl Kind {
    /// In this order, each with its column of [`LOOK`].
    const ALL: [(Self, &'static str); 7] = [
        (Self::SealedSuccessors, "sessions"),
        (Self::Sessions, "sessions"),
        (Self::RefreshTokens, "refresh_tokens"),
        (Self::Challenges, "challenges"),
        (Self::Throttles, "throttles"),
        (Self::Ends, "ends"),
        (Self::Subjects, "subjects"),
    ];
}

struct Sweep<'a> {
    database: &'a Database,
    now: Timestamp,
    leeway: Duration,
    /// When a subject goes that nothing needs from now on.
    subject_due_at: Timestamp,
}

impl Sweep<'_> {
    /// The kinds of which something is over.
    async fn look(&self) -> Result<Vec<Kind>, StoreError> {
        let reader = self.database.reader();
        let row = reader
            .query_one_raw(statement(reader, LOOK, []))
            .await?
            .ok_or_else(|| StoreError::Corrupt("a look gave no row".to_owned()))?;
        let mut kinds = Vec::new();
        for (kind, column) in Kind::ALL {
            let first: Option<i64> = row.try_get("", column)?;
            if first.is_some_and(|first| first <= self.now.as_micros()) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }

    async fn batch(&self, kind: Kind) -> Result<u64, StoreError> {
        match kind {
            Kind::SealedSuccessors => {
                let leeway = clock::micros(self.leeway);
                self.write(UNSEAL, Some(leeway.into())).await
            }
            Kind::Sessions => {
                // Should this end in between, a mark that came too early does no harm.
                self.let_go(MARK).await?;
                self.write(SESSIONS, None).await
            }
            Kind::RefreshTokens => self.write(REFRESH_TOKENS, None).await,
            Kind::Challenges => self.write(CHALLENGES, None).await,
            Kind::Throttles => self.write(THROTTLES, None).await,
            Kind::Ends => self.let_go(FORGET).await,
            Kind::Subjects => {
                let kept = self.write(self.of_engine(KEEP), None).await?;
                Ok(kept + self.write(self.of_engine(REMOVE), None).await?)
            }
        }
    }

    /// Lets subjects go, and raises the floor to them: the next life of each begins no lower than this one ends.
    async fn let_go(&self, sql: [&'static str; 2]) -> Result<u64, StoreError> {
        const RAISE: &str = "UPDATE subject_floor SET generation = $1 WHERE generation < $1";
        let sql = self.of_engine(sql);
        let values = [micros(self.now), BATCH.into(), micros(self.subject_due_at)];
        let written = self
            .database
            .write(move |transaction| {
                let values = values.clone();
                Box::pin(async move {
                    let rows = transaction
                        .query_all_raw(statement(transaction, sql, values))
                        .await?;
                    let mut highest = 0;
                    for row in &rows {
                        highest = highest.max(row.try_get::<i64>("", "generation")?);
                    }
                    transaction
                        .execute_raw(statement(transaction, RAISE, [highest.into()]))
                        .await?;
                    Ok::<_, StoreError>(rows.len() as u64)
                })
            })
            .await?;
        Ok(written.value)
    }

    /// One statement in a transaction of its own.
    async fn write(&self, sql: &'static str, more: Option<Value>) -> Result<u64, StoreError> {
        let values = [micros(self.now), BATCH.into()].into_iter().chain(more);
        let written = self
            .database
            .write(move |transaction| {
                let values = values.clone();
                Box::pin(async move {
                    let done = transaction
                        .execute_raw(statement(transaction, sql, values))
                        .await?;
                    Ok::<_, StoreError>(done.rows_affected())
                })
            })
            .await?;
        Ok(written.value)
    }

    fn of_engine(&self, [sqlite, postgres]: [&'static str; 2]) -> &'static str {
        match self.database.backend() {
            DbBackend::Postgres => postgres,
            _ => sqlite,
        }
    }
}
