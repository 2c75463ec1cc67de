//! The lease of the housekeeper: one row says which process does what is done beside the calls, and until when.

use std::time::Duration;

use identity_kit::{
    clock::Timestamp,
    database::{StoreError, WriteTransaction},
};
use sea_orm::{ConnectionTrait, Statement, Value};

use super::{Error, Store, audit, rights::Touched};

/// How long a process that says nothing more is still waited for.
pub const LEASE: Duration = Duration::from_secs(4);

/// Takes the lease when it is free, over or the holder's own. One that ends later than any clock of ours can have said
/// was taken by a clock that ran ahead.
const TAKE: &str = "UPDATE upkeep_lease SET holder = $1, held_until = $3
    WHERE id = 1 AND (holder = $1 OR held_until <= $2 OR held_until > $4)";

const RELEASE: &str =
    "UPDATE upkeep_lease SET holder = '', held_until = 0 WHERE id = 1 AND holder = $1";

/// One process that may keep the house: an id of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder(String);

impl Holder {
    /// Takes an id that was just made.
    #[must_use]
    pub const fn new(fresh: String) -> Self {
        Self(fresh)
    }
}

impl Store {
    /// Takes the lease, or renews the own one; whether the holder has it now, for [`LEASE`].
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn take_lease(&self, holder: Holder, now: Timestamp) -> Result<bool, Error> {
        let done = self.write(
            audit::upkeep("TakeLease"),
            Touched::Nothing,
            holder,
            move |transaction, _, holder| {
                Box::pin(async move { Ok(take(transaction, holder, now).await?) })
            },
        );
        Ok(done.await?.value)
    }

    /// Gives the lease back, so that the next process need not wait for its end.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn release_lease(&self, holder: Holder) -> Result<(), Error> {
        let done = self.write(
            audit::upkeep("ReleaseLease"),
            Touched::Nothing,
            holder,
            |transaction, _, holder| {
                Box::pin(async move {
                    transaction
                        .execute_raw(Statement::from_sql_and_values(
                            transaction.get_database_backend(),
                            RELEASE,
                            [Value::from(holder.0.as_str())],
                        ))
                        .await?;
                    Ok(())
                })
            },
        );
        done.await?;
        Ok(())
    }
}

/// Takes or renews the lease inside of the transaction that needs it. Its row stays locked until the transaction ends,
/// so nobody else can have taken the lease before that has happened which only its holder may do.
pub(super) async fn take(
    transaction: &WriteTransaction,
    holder: &Holder,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let values = [
        Value::from(holder.0.as_str()),
        Value::from(now.as_micros()),
        Value::from(now.plus(LEASE).as_micros()),
        Value::from(now.plus(LEASE * 2).as_micros()),
    ];
    let taken = transaction
        .execute_raw(Statement::from_sql_and_values(
            transaction.get_database_backend(),
            TAKE,
            values,
        ))
        .await?;
    Ok(taken.rows_affected() == 1)
}
