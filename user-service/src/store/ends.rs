//! What ends by itself: rows whose end has come go in bounded parts, each part with its events in one transaction.
//!
//! No answer waits for this: every read leaves out by itself what has ended. It keeps the tables small and tells the
//! feed.

use std::collections::BTreeMap;

use identity_kit::{audit::Record, clock::Timestamp, database::WriteTransaction};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};

use super::{
    Error, Store, audit,
    event::{self, kinds},
    grants::{PERMISSIONS, ROLES},
    lease::{self, Holder},
    rights::Touched,
};
use crate::domain::id::UserId;

/// Most rows of one kind that end in one transaction, so that it never holds up other writers.
pub const ENDED_AT_ONCE: u64 = 500;

/// The earliest end that has not been carried out.
const NEXT: &str = "SELECT MIN(next.ends_at) AS ends_at FROM (
        SELECT ends_at FROM (SELECT ends_at FROM user_roles WHERE ends_at IS NOT NULL
            ORDER BY ends_at LIMIT 1) AS role_end
        UNION ALL
        SELECT ends_at FROM (SELECT ends_at FROM user_permissions WHERE ends_at IS NOT NULL
            ORDER BY ends_at LIMIT 1) AS permission_end
        UNION ALL
        SELECT ends_at FROM (SELECT ends_at FROM subscriptions WHERE ends_at IS NOT NULL AND status <> 'expired'
            ORDER BY ends_at LIMIT 1) AS subscription_end
    ) AS next";

/// Removes rows of `$table` with the key `user_id, $column` that have ended at `$1`, the oldest ends first, `$2` at most.
/// Where it can, it passes over rows that somebody is about to change: they may get a later end.
macro_rules! remove {
    ($table:literal, $column:literal, $passing_over:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ends_at <= $1 AND (user_id, ",
            $column,
            ") IN (SELECT user_id, ",
            $column,
            " FROM ",
            $table,
            " WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2",
            $passing_over,
            ") RETURNING user_id, ",
            $column,
            " AS what"
        )
    };
}

/// Writes down of subscriptions that have ended at `$1`, the oldest ends first, `$2` at most, that they have.
macro_rules! expire {
    ($passing_over:literal) => {
        concat!(
            "UPDATE subscriptions SET status = 'expired' WHERE ends_at <= $1 AND status <> 'expired' AND id IN (
                SELECT id FROM subscriptions WHERE ends_at <= $1 AND status <> 'expired' ORDER BY ends_at LIMIT $2",
            $passing_over,
            ") RETURNING user_id, plan AS what"
        )
    };
}

/// The statements of one engine.
struct Statements {
    roles: &'static str,
    permissions: &'static str,
    subscriptions: &'static str,
}

const SQLITE: Statements = Statements {
    roles: remove!("user_roles", "role_id", ""),
    permissions: remove!("user_permissions", "permission_id", ""),
    subscriptions: expire!(""),
};

const POSTGRES: Statements = Statements {
    roles: remove!("user_roles", "role_id", " FOR UPDATE SKIP LOCKED"),
    permissions: remove!(
        "user_permissions",
        "permission_id",
        " FOR UPDATE SKIP LOCKED"
    ),
    subscriptions: expire!(" FOR UPDATE SKIP LOCKED"),
};

const fn statements(backend: DbBackend) -> &'static Statements {
    match backend {
        DbBackend::Postgres => &POSTGRES,
        _ => &SQLITE,
    }
}

impl Store {
    /// The earliest end that has not been carried out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_end(&self) -> Result<Option<Timestamp>, Error> {
        let row = self
            .database
            .aside()
            .query_one_raw(Statement::from_string(self.database.backend(), NEXT))
            .await?;
        let end: Option<i64> = match row {
            Some(row) => row.try_get("", "ends_at")?,
            None => None,
        };
        Ok(end.map(Timestamp::from_micros))
    }

    /// Carries out what has ended at `now`, [`ENDED_AT_ONCE`] of a kind at most, and tells how much; `None` when another
    /// process keeps the house, and then it does nothing.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn carry_out_ends(
        &self,
        holder: Holder,
        now: Timestamp,
    ) -> Result<Option<u64>, Error> {
        // What is kept of a user's rights is not told past their first end, so there is nothing to drop.
        let act = audit::upkeep("CarryOutEnds");
        let done = self.write(
            act,
            Touched::Nothing,
            holder,
            move |transaction, scribe, holder| {
                Box::pin(async move {
                    if !lease::take(transaction, holder, now).await? {
                        return Ok(None);
                    }
                    let statements = statements(transaction.get_database_backend());
                    let mut ended = 0;
                    let mut users: BTreeMap<UserId, Record> = BTreeMap::new();
                    for (sql, field) in [
                        (statements.roles, ROLES),
                        (statements.permissions, PERMISSIONS),
                    ] {
                        for (user, taken) in take_ended(transaction, sql, now).await? {
                            ended += taken.len() as u64;
                            let record = users.remove(&user).unwrap_or_default();
                            users.insert(user, record.changed(field, taken, None::<String>));
                        }
                    }
                    for (user, record) in users {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, &user);
                        scribe.done_to(transaction, audit::user(&user), record);
                    }
                    for (user, plans) in
                        take_ended(transaction, statements.subscriptions, now).await?
                    {
                        ended += plans.len() as u64;
                        event::user(transaction, kinds::SUBSCRIPTION_CHANGED, &user);
                        let record = Record::default().changed("plan", plans, None::<String>);
                        scribe.done_to(transaction, audit::user(&user), record);
                    }
                    Ok(Some(ended))
                })
            },
        );
        Ok(done.await?.value)
    }
}

#[derive(FromQueryResult)]
struct Ended {
    user_id: String,
    what: String,
}

/// Runs a statement that ends something, and answers what of each user.
async fn take_ended(
    transaction: &WriteTransaction,
    sql: &'static str,
    now: Timestamp,
) -> Result<BTreeMap<UserId, Vec<String>>, Error> {
    let limit = i64::try_from(ENDED_AT_ONCE).unwrap_or(i64::MAX);
    let values = [Value::from(now.as_micros()), Value::from(limit)];
    let backend = transaction.get_database_backend();
    let rows = Ended::find_by_statement(Statement::from_sql_and_values(backend, sql, values))
        .all(transaction)
        .await?;
    let mut ended: BTreeMap<UserId, Vec<String>> = BTreeMap::new();
    for row in rows {
        ended
            .entry(UserId::stored(row.user_id))
            .or_default()
            .push(row.what);
    }
    Ok(ended)
}

#[cfg(test)]
mod tests;
