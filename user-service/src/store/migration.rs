//! The schema, one file a step.

use sea_orm_migration::{
    DbErr, MigrationTrait, MigratorTrait, SchemaManager,
    sea_orm::{ConnectionTrait, DbBackend, Value},
};

mod m0001_user_types;
mod m0002_users;
mod m0003_credentials;
mod m0004_roles;
mod m0005_permissions;
mod m0006_grants;
mod m0007_feed;
mod m0008_request_log;
mod m0009_user_lists;
mod m0010_ends;
mod m0011_upkeep_lease;
mod m0012_subscriptions;
mod m0013_user_imports;
mod m0016_feed_watchers;
mod m0017_audit;
mod m0020_username_skeletons;
mod m0021_user_search;
mod m0022_email_proofs;
mod m0023_feed_past;

/// Every step, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_user_types::Migration),
            Box::new(m0002_users::Migration),
            Box::new(m0003_credentials::Migration),
            Box::new(m0004_roles::Migration),
            Box::new(m0005_permissions::Migration),
            Box::new(m0006_grants::Migration),
            Box::new(m0007_feed::Migration),
            Box::new(m0008_request_log::Migration),
            Box::new(m0009_user_lists::Migration),
            Box::new(m0010_ends::Migration),
            Box::new(m0011_upkeep_lease::Migration),
            Box::new(m0012_subscriptions::Migration),
            Box::new(m0013_user_imports::Migration),
            Box::new(m0016_feed_watchers::Migration),
            Box::new(m0017_audit::Migration),
            Box::new(m0020_username_skeletons::Migration),
            Box::new(m0021_user_search::Migration),
            Box::new(m0022_email_proofs::Migration),
            Box::new(m0023_feed_past::Migration),
        ]
    }
}

/// Runs statements that both engines understand.
///
/// `{key}` stands for the type of text that is compared and ordered byte by byte, so that both engines list alike.
async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let key = match connection.get_database_backend() {
        DbBackend::Postgres => "text COLLATE \"C\"",
        _ => "text",
    };
    for statement in statements {
        connection
            .execute_unprepared(&statement.replace("{key}", key))
            .await?;
    }
    Ok(())
}

/// The places of pairs in a list of values, `($1, $2), ($3, $4)`, and the values.
fn values(rows: &[(&str, &str)]) -> (String, Vec<Value>) {
    let places: Vec<_> = (0..rows.len())
        .map(|row| format!("(${}, ${})", 2 * row + 1, 2 * row + 2))
        .collect();
    let values = rows
        .iter()
        .flat_map(|(left, right)| [Value::from(*left), Value::from(*right)])
        .collect();
    (places.join(", "), values)
}

#[cfg(test)]
mod tests;
