//! Usernames unique among their look-alikes, addresses unique whatever their domain is written like.
//!
//! Who is there stays: of several users whose names look alike the one created first has the skeleton, and the others
//! have none until they are renamed. Whose address turns out to be an older user's keeps the old key, and is named in
//! the log.

use std::collections::HashSet;

use identity_kit::migrate::run;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement, Value};

use super::values;
use crate::domain::{email::email_key, username::Username};

/// Users that are read and written at once.
const AT_ONCE: usize = 500;

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE username_skeletons (
                skeleton {key} PRIMARY KEY,
                user_id {key} NOT NULL REFERENCES users (id) ON DELETE CASCADE
            )",
            "CREATE INDEX username_skeletons_by_user ON username_skeletons (user_id)",
        ],
    )
    .await?;
    let mut place = (i64::MIN, String::new());
    loop {
        let users = users_after(transaction, &place).await?;
        let Some(last) = users.last() else {
            return Ok(());
        };
        place = (last.created_at, last.id.clone());
        write_skeletons(transaction, &users).await?;
        write_keys(transaction, &users).await?;
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    username: String,
    email: String,
    email_key: String,
    created_at: i64,
}

async fn users_after(
    connection: &impl ConnectionTrait,
    (created_at, id): &(i64, String),
) -> Result<Vec<Row>, DbErr> {
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        format!(
            "SELECT id, username, email, email_key, created_at FROM users
             WHERE (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT {AT_ONCE}"
        ),
        [(*created_at).into(), id.as_str().into()],
    );
    Row::find_by_statement(statement).all(connection).await
}

/// Of those who share one, the first row has it.
async fn write_skeletons(connection: &impl ConnectionTrait, users: &[Row]) -> Result<(), DbErr> {
    let skeletons: Vec<_> = users
        .iter()
        .flat_map(|user| {
            let skeletons = Username::stored(user.username.clone()).skeletons();
            skeletons.into_iter().map(|skeleton| (skeleton, &user.id))
        })
        .collect();
    let rows: Vec<_> = skeletons
        .iter()
        .map(|(skeleton, id)| (skeleton.as_str(), id.as_str()))
        .collect();
    let (places, values) = values(&rows);
    connection
        .execute_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            format!(
                "INSERT INTO username_skeletons (skeleton, user_id) VALUES {places}
                 ON CONFLICT (skeleton) DO NOTHING"
            ),
            values,
        ))
        .await?;
    Ok(())
}

async fn write_keys(connection: &impl ConnectionTrait, users: &[Row]) -> Result<(), DbErr> {
    let changed: Vec<_> = users
        .iter()
        .map(|user| (user, email_key(&user.email)))
        .filter(|(user, key)| *key != user.email_key)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut taken = taken(connection, &changed).await?;
    let (free, held): (Vec<_>, Vec<_>) = changed
        .iter()
        .partition(|(_, key)| taken.insert(key.clone()));
    for (user, _) in held {
        tracing::warn!(
            user_id = user.id,
            "a user has the address of another user, written in another way, and cannot log in by it: change it"
        );
    }
    let rows: Vec<_> = free
        .iter()
        .map(|(user, key)| (user.id.as_str(), key.as_str()))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let (places, values) = values(&rows);
    connection
        .execute_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            format!(
                "WITH new (id, value) AS (VALUES {places})
                 UPDATE users SET email_key = new.value FROM new WHERE users.id = new.id"
            ),
            values,
        ))
        .await?;
    Ok(())
}

/// Those of the keys that somebody has already.
async fn taken(
    connection: &impl ConnectionTrait,
    keys: &[(&Row, String)],
) -> Result<HashSet<String>, DbErr> {
    let places: Vec<_> = (1..=keys.len()).map(|place| format!("${place}")).collect();
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        format!(
            "SELECT email_key FROM users WHERE email_key IN ({})",
            places.join(", ")
        ),
        keys.iter().map(|(_, key)| Value::from(key.as_str())),
    );
    let rows = connection.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| row.try_get("", "email_key"))
        .collect()
}
