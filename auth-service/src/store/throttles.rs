//! Counters of login attempts: they survive a restart and are shared by replicas.

use std::{sync::Arc, time::Duration};

use identity_guard::clock::Timestamp;
use identity_kit::database::{Database, StoreError, WriteTransaction};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, FromQueryResult as _,
    QueryFilter as _, Value,
};

use super::{
    entity::throttle,
    values::{micros, statement, to_small_column, to_small_count},
};
use crate::domain::throttle::{
    Counter, LoginAdmission, LoginCounters, LoginKeys, ThrottleKey, ThrottleLimits,
};

/// The longest block that is in force under any of the keys. Reads only.
///
/// # Errors
///
/// Those of the store.
pub async fn blocked_for(
    connection: &impl ConnectionTrait,
    keys: [&ThrottleKey; 2],
    now: Timestamp,
) -> Result<Option<Duration>, StoreError> {
    let keys = keys.map(|key| key.as_bytes().to_vec());
    let rows = throttle::Entity::find()
        .filter(throttle::Column::Id.is_in(keys))
        .all(connection)
        .await?;
    let mut longest = None;
    for row in rows {
        longest = longest.max(to_counter(&row)?.blocked_for(now));
    }
    Ok(longest)
}

/// Counts a login that is about to be tried.
///
/// # Errors
///
/// Those of the store.
pub async fn charge(
    database: &Database,
    keys: &LoginKeys,
    limits: &ThrottleLimits,
    now: Timestamp,
) -> Result<LoginAdmission, StoreError> {
    change(database, keys, limits, now, |counters, limits, now| {
        counters.charge(limits, now)
    })
    .await
}

/// Gives back what was charged for a login that was not decided; of a locked account nothing was.
///
/// # Errors
///
/// Those of the store.
pub async fn refund(
    database: &Database,
    keys: &LoginKeys,
    limits: &ThrottleLimits,
    account_was_locked: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    change(
        database,
        keys,
        limits,
        now,
        move |counters, limits, _now| counters.refund(limits, account_was_locked),
    )
    .await
}

/// Settles a login that was a success, as [`LoginCounters::succeed`] says.
///
/// # Errors
///
/// Those of the store.
pub async fn succeed(
    database: &Database,
    keys: &LoginKeys,
    limits: &ThrottleLimits,
    now: Timestamp,
) -> Result<(), StoreError> {
    let work = Arc::new((keys.clone(), *limits));
    database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move { succeed_in(transaction, &work.0, &work.1, now).await })
        })
        .await?;
    Ok(())
}

/// The statement that settles a success; its values are those of [`success`]. The counters of the identifier and the
/// account begin anew, and the network gets one attempt back, with the block that this attempt began. `$which` says
/// which rows: PostgreSQL locks them in the order in which a charge does, so that the two never wait in a circle.
macro_rules! settle {
    ($which:literal) => {
        concat!(
            "UPDATE throttles SET \
                blocks = CASE WHEN throttles.id <> $2 THEN 0 \
                    WHEN throttles.attempts >= $5 AND throttles.blocked_until IS NOT NULL \
                        AND throttles.blocks > 0 \
                    THEN throttles.blocks - 1 ELSE throttles.blocks END, \
                blocked_until = CASE WHEN throttles.id <> $2 OR throttles.attempts >= $5 \
                    THEN NULL ELSE throttles.blocked_until END, \
                window_started_at = CASE WHEN throttles.id <> $2 \
                    THEN $1 ELSE throttles.window_started_at END, \
                attempts = CASE WHEN throttles.id <> $2 OR throttles.attempts = 0 \
                    THEN 0 ELSE throttles.attempts - 1 END \
            FROM (SELECT id FROM throttles WHERE id IN ($2, $3, $4)",
            $which,
            ") AS counted WHERE throttles.id = counted.id"
        )
    };
}

pub(super) use settle;

/// The values of [`settle!`]; without an attempt, keys that no row has.
pub(super) fn success(
    attempt: Option<&LoginKeys>,
    limits: &ThrottleLimits,
    now: Timestamp,
) -> [Value; 5] {
    let id = |key: fn(&LoginKeys) -> &ThrottleKey| {
        Value::from(attempt.map(|keys| key(keys).as_bytes().to_vec()))
    };
    [
        micros(now),
        id(|keys| &keys.network),
        id(|keys| &keys.pair),
        id(|keys| &keys.account),
        to_small_column(limits.network.attempts).into(),
    ]
}

/// The same as [`succeed`], in a transaction that does more.
pub(super) async fn succeed_in(
    transaction: &WriteTransaction,
    keys: &LoginKeys,
    limits: &ThrottleLimits,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = match transaction.get_database_backend() {
        DbBackend::Postgres => settle!(" ORDER BY id FOR UPDATE"),
        _ => settle!(""),
    };
    let values = success(Some(keys), limits, now);
    transaction
        .execute_raw(statement(transaction, sql, values))
        .await?;
    Ok(())
}

/// Changes the counters of a login while nobody else does.
async fn change<T, C>(
    database: &Database,
    keys: &LoginKeys,
    limits: &ThrottleLimits,
    now: Timestamp,
    change: C,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    C: Fn(&mut LoginCounters, &ThrottleLimits, Timestamp) -> T + Send + Sync + 'static,
{
    let work = Arc::new((keys.clone(), *limits, change));
    let written = database
        .write(move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (keys, limits, change) = (&work.0, &work.1, &work.2);
                let mut counters = lock(transaction, keys, now).await?;
                let before = counters;
                let outcome = change(&mut counters, limits, now);
                if counters != before {
                    update(transaction, keys, &counters, limits).await?;
                }
                Ok::<_, StoreError>(outcome)
            })
        })
        .await?;
    Ok(written.value)
}

/// Reads the counters, made where they are absent, and locks them.
async fn lock(
    connection: &impl ConnectionTrait,
    keys: &LoginKeys,
    now: Timestamp,
) -> Result<LoginCounters, StoreError> {
    // The update that changes nothing locks the rows.
    const LOCK: &str = "\
        INSERT INTO throttles (id, attempts, window_started_at, blocks, forgotten_at) \
        VALUES ($1, 0, $4, 0, $4), ($2, 0, $4, 0, $4), ($3, 0, $4, 0, $4) \
        ON CONFLICT (id) DO UPDATE SET blocks = throttles.blocks \
        RETURNING id, attempts, window_started_at, blocked_until, blocks, forgotten_at";
    let mut ids = [&keys.pair, &keys.network, &keys.account];
    // One order for all, so that two logins never wait for each other in a circle.
    ids.sort();
    let [a, b, c] = ids.map(|key| Value::from(key.as_bytes().to_vec()));
    let rows = connection
        .query_all_raw(statement(connection, LOCK, [a, b, c, micros(now)]))
        .await?;
    let mut counters = LoginCounters {
        pair: Counter::new(now),
        network: Counter::new(now),
        account: Counter::new(now),
    };
    for row in rows {
        let row = throttle::Model::from_query_result(&row, "")?;
        let counter = to_counter(&row)?;
        if row.id == keys.pair.as_bytes() {
            counters.pair = counter;
        } else if row.id == keys.network.as_bytes() {
            counters.network = counter;
        } else {
            counters.account = counter;
        }
    }
    Ok(counters)
}

async fn update(
    connection: &impl ConnectionTrait,
    keys: &LoginKeys,
    counters: &LoginCounters,
    limits: &ThrottleLimits,
) -> Result<(), StoreError> {
    const UPDATE: &str = "\
        INSERT INTO throttles \
            (id, attempts, window_started_at, blocked_until, blocks, forgotten_at) \
        VALUES ($1, $2, $3, $4, $5, $6), ($7, $8, $9, $10, $11, $12), ($13, $14, $15, $16, $17, $18) \
        ON CONFLICT (id) DO UPDATE SET attempts = excluded.attempts, \
            window_started_at = excluded.window_started_at, \
            blocked_until = excluded.blocked_until, blocks = excluded.blocks, \
            forgotten_at = excluded.forgotten_at";
    let row = |key: &ThrottleKey, counter: &Counter, limit| {
        [
            Value::from(key.as_bytes().to_vec()),
            to_small_column(counter.attempts).into(),
            micros(counter.window_started_at),
            counter.blocked_until.map(Timestamp::as_micros).into(),
            to_small_column(counter.blocks).into(),
            micros(counter.forgotten_at(limit)),
        ]
    };
    let values = [
        row(&keys.pair, &counters.pair, &limits.pair),
        row(&keys.network, &counters.network, &limits.network),
        row(&keys.account, &counters.account, &limits.account),
    ];
    let values = values.into_iter().flatten();
    connection
        .execute_raw(statement(connection, UPDATE, values))
        .await?;
    Ok(())
}

fn to_counter(row: &throttle::Model) -> Result<Counter, StoreError> {
    Ok(Counter {
        attempts: to_small_count(row.attempts, "attempts")?,
        window_started_at: Timestamp::from_micros(row.window_started_at),
        blocked_until: row.blocked_until.map(Timestamp::from_micros),
        blocks: to_small_count(row.blocks, "blocks")?,
    })
}
