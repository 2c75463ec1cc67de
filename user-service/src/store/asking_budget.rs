//! How often somebody may ask for what costs others: counted by the hour, for all replicas together.

use std::time::Duration;

use identity_kit::clock::Timestamp;
use sea_orm::{ConnectionTrait, Statement, Value};

use super::{Error, Store, audit, rights::Touched};
use crate::domain::{asker::Asker, refusal::Refusal};

/// How long a budget lasts.
const HOUR: Duration = Duration::from_hours(1);
/// The most budgets that are forgotten in one statement.
const AT_ONCE: u64 = 1_000;

impl Store {
    /// Counts one more asking of each, unless one of them has asked too often.
    ///
    /// # Errors
    /// `TooManyAttempts`.
    pub async fn spend(&self, askers: Vec<Asker>, now: Timestamp) -> Result<(), Error> {
        let hour = now.seconds().div_euclid(HOUR.as_secs().cast_signed());
        self.write(
            audit::upkeep("SpendBudget"),
            Touched::Nothing,
            askers,
            move |transaction, _, askers| {
                Box::pin(async move {
                    let places: Vec<_> = (0..askers.len())
                        .map(|place| format!("(${}, $1, 1)", place + 2))
                        .collect();
                    let keys = askers.iter().map(|asker| Value::from(asker.key.as_str()));
                    let rows = transaction
                        .query_all_raw(Statement::from_sql_and_values(
                            transaction.get_database_backend(),
                            format!(
                                "INSERT INTO asking_budgets (asker, hour, spent) VALUES {}
                                 ON CONFLICT (asker, hour) DO UPDATE SET spent = asking_budgets.spent + 1
                                 RETURNING asker, spent",
                                places.join(", ")
                            ),
                            [Value::from(hour)].into_iter().chain(keys),
                        ))
                        .await?;
                    for row in rows {
                        let (key, spent): (String, i64) =
                            (row.try_get("", "asker")?, row.try_get("", "spent")?);
                        let is_over = |asker: &Asker| asker.key == key && spent > asker.limit;
                        if askers.iter().any(is_over) {
                            let next = Timestamp::from_seconds((hour + 1) * HOUR.as_secs().cast_signed());
                            return Err(Refusal::TooManyAttempts(next.since(now)).into());
                        }
                    }
                    Ok(())
                })
            },
        )
        .await?;
        Ok(())
    }

    /// Forgets budgets of past hours.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn purge_budgets(&self, now: Timestamp) -> Result<(), Error> {
        let hour = now.seconds().div_euclid(HOUR.as_secs().cast_signed());
        loop {
            let purged = self
                .write(
                    audit::upkeep("ForgetBudgets"),
                    Touched::Nothing,
                    hour,
                    |transaction, _, hour| {
                        Box::pin(async move {
                            let statement = Statement::from_sql_and_values(
                                transaction.get_database_backend(),
                                format!(
                                    "DELETE FROM asking_budgets WHERE (hour, asker) IN (
                                    SELECT hour, asker FROM asking_budgets WHERE hour < $1
                                    ORDER BY hour, asker LIMIT {AT_ONCE})"
                                ),
                                [(*hour).into()],
                            );
                            Ok(transaction.execute_raw(statement).await?.rows_affected())
                        })
                    },
                )
                .await?;
            if purged.value < AT_ONCE {
                return Ok(());
            }
        }
    }
}
