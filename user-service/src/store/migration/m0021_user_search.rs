//! What a search for people looks at, with an index of its trigrams that follows every write.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait, DbBackend, DeriveMigrationName, FromQueryResult, Statement},
};

use super::{run, values};
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

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        match connection.get_database_backend() {
            DbBackend::Postgres => {
                create_extension(connection).await?;
                run(manager, &POSTGRES).await?;
            }
            _ => run(manager, &SQLITE).await?,
        }
        // Who holds a permission is also who has the built-in role.
        run(
            manager,
            &["CREATE INDEX roles_by_built_in ON roles (built_in)"],
        )
        .await?;
        let mut place = String::new();
        loop {
            let users = users_after(connection, &place).await?;
            let Some(last) = users.last() else {
                return Ok(());
            };
            place.clone_from(&last.id);
            write(connection, &users).await?;
        }
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
