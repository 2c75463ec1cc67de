//! What a search for people looks at, with an index of its trigrams that follows every write.

use identity_kit::migrate::run;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, FromQueryResult, Statement};

use super::values;
use crate::domain::search::SearchText;

/// Users that are read and written at once.
const AT_ONCE: usize = 500;

/// SQLite: an index over the table next to it, which triggers keep in step; a foreign key sets them off too. With
/// `secure-delete` what is deleted leaves no trace in the index.
const SQLITE: [&str; 6] = [
    "CREATE TABLE user_search (
        number integer PRIMARY KEY,
        user_id text NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
        text text NOT NULL
    )",
    "CREATE VIRTUAL TABLE user_search_index USING fts5 (
        text, content = 'user_search', content_rowid = 'number', tokenize = 'trigram case_sensitive 1'
    )",
    "INSERT INTO user_search_index (user_search_index, rank) VALUES ('secure-delete', 1)",
    "CREATE TRIGGER user_search_inserted AFTER INSERT ON user_search BEGIN
        INSERT INTO user_search_index (rowid, text) VALUES (new.number, new.text);
    END",
    "CREATE TRIGGER user_search_deleted AFTER DELETE ON user_search BEGIN
        INSERT INTO user_search_index (user_search_index, rowid, text) VALUES ('delete', old.number, old.text);
    END",
    "CREATE TRIGGER user_search_updated AFTER UPDATE ON user_search BEGIN
        INSERT INTO user_search_index (user_search_index, rowid, text) VALUES ('delete', old.number, old.text);
        INSERT INTO user_search_index (rowid, text) VALUES (new.number, new.text);
    END",
];

const POSTGRES: [&str; 2] = [
    "CREATE TABLE user_search (
        user_id {key} PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        text {key} NOT NULL
    )",
    "CREATE INDEX user_search_by_trigram ON user_search USING gin (text gin_trgm_ops)",
];

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    match transaction.get_database_backend() {
        DbBackend::Postgres => {
            create_extension(transaction).await?;
            run(transaction, &POSTGRES).await?;
        }
        _ => run(transaction, &SQLITE).await?,
    }
    // Who holds a permission is also who has the built-in role.
    run(
        transaction,
        &["CREATE INDEX roles_by_built_in ON roles (built_in)"],
    )
    .await?;
    let mut place = String::new();
    loop {
        let users = users_after(transaction, &place).await?;
        let Some(last) = users.last() else {
            return Ok(());
        };
        place.clone_from(&last.id);
        write(transaction, &users).await?;
    }
}

/// Needs the right to create in the database, which its owner has; `pg_trgm` is a trusted extension.
async fn create_extension(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let created = connection
        .execute_unprepared("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        .await;
    created.map_err(|error| {
        DbErr::Migration(format!(
            "the extension pg_trgm is absent and cannot be created ({error}): as a superuser run `CREATE EXTENSION \
             pg_trgm` in this database, then `migrate` again"
        ))
    })?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    username: String,
    email: String,
    first_name: String,
    last_name: String,
}

async fn users_after(connection: &impl ConnectionTrait, id: &str) -> Result<Vec<Row>, DbErr> {
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        format!(
            "SELECT id, username, email, first_name, last_name FROM users
             WHERE id > $1 ORDER BY id LIMIT {AT_ONCE}"
        ),
        [id.into()],
    );
    Row::find_by_statement(statement).all(connection).await
}

async fn write(connection: &impl ConnectionTrait, users: &[Row]) -> Result<(), DbErr> {
    let texts: Vec<_> = users
        .iter()
        .map(|user| {
            SearchText::of_parts(
                &user.username,
                &user.email,
                &user.first_name,
                &user.last_name,
            )
        })
        .collect();
    let rows: Vec<_> = users
        .iter()
        .zip(&texts)
        .map(|(user, text)| (user.id.as_str(), text.as_str()))
        .collect();
    let (places, values) = values(&rows);
    connection
        .execute_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            format!("INSERT INTO user_search (user_id, text) VALUES {places}"),
            values,
        ))
        .await?;
    Ok(())
}
