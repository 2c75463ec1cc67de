//! Changing the schema: one at a time, whole or not at all, never backwards.

use std::sync::Arc;

use identity_kit::{
    clock::SystemClock,
    entropy::SystemEntropy,
    migrate::{MigrateError, SchemaError, check_schema, migrate},
    testing::{TestDatabase, databases},
};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::{
    DbErr, MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
};

use crate::schema::{First, Migrator};

struct Nothing;

impl MigratorTrait for Nothing {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Vec::new()
    }
}

struct Newer;

impl MigratorTrait for Newer {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(First), Box::new(Second { breaks: false })]
    }
}

struct Broken;

impl MigratorTrait for Broken {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(First), Box::new(Second { breaks: true })]
    }
}

struct Second {
    breaks: bool,
}

impl MigrationName for Second {
    fn name(&self) -> &'static str {
        "m0002_second"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Second {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        // Fails when it runs twice.
        connection
            .execute_unprepared("CREATE TABLE second (id TEXT PRIMARY KEY)")
            .await?;
        if self.breaks {
            connection
                .execute_unprepared("CREATE TABLE item (id TEXT PRIMARY KEY)")
                .await?;
        }
        Ok(())
    }
}

async fn empty() -> Vec<TestDatabase> {
    databases::<Nothing>().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_migrators_at_once_one_migrates_and_all_succeed() {
    for database in empty().await {
        assert!(matches!(
            check_schema::<Newer>(&database).await,
            Err(SchemaError::Missing)
        ));
        let migrators = (0..4).map(|_| async {
            let process = database
                .connect(Arc::new(SystemClock), Arc::new(SystemEntropy))
                .await;
            let done = tokio::spawn({
                let process = process.clone();
                async move { migrate::<Newer>(&process).await }
            });
            done.await.unwrap().unwrap();
            process.close().await;
        });
        futures_util::future::join_all(migrators).await;
        check_schema::<Newer>(&database).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_of_a_newer_program_is_refused_by_name() {
    for database in databases::<Newer>().await {
        let checked = check_schema::<Migrator>(&database).await.unwrap_err();
        assert!(
            checked.to_string().contains("does not know m0002_second"),
            "{checked}"
        );
        let migrated = migrate::<Migrator>(&database).await;
        assert!(matches!(
            migrated,
            Err(MigrateError::Schema(SchemaError::Future { .. }))
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_schema_is_named_and_brought_up_to_date() {
    for database in databases::<Migrator>().await {
        let behind = check_schema::<Newer>(&database).await;
        assert!(matches!(behind, Err(SchemaError::Behind { next }) if next == "m0002_second"));
        migrate::<Newer>(&database).await.unwrap();
        check_schema::<Newer>(&database).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_that_fails_leaves_nothing_behind() {
    for database in databases::<Migrator>().await {
        assert!(matches!(
            migrate::<Broken>(&database).await,
            Err(MigrateError::Store(_))
        ));
        migrate::<Newer>(&database).await.unwrap();
    }
}
