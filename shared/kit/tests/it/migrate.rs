//! Changing the schema: one at a time, whole or not at all, never backwards.

use std::sync::Arc;

use identity_kit::{
    clock::SystemClock,
    entropy::SystemEntropy,
    migrate::{MigrateError, Schema, SchemaError, Step, check_schema, migrate},
    steps,
    testing::{TestDatabase, databases},
};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr};

use crate::schema::{Migrator, m0001_first};

struct Nothing;

impl Schema for Nothing {
    const STEPS: &'static [Step] = &[];
}

struct Newer;

impl Schema for Newer {
    const STEPS: &'static [Step] = steps![m0001_first, m0002_second];
}

struct Broken;

impl Schema for Broken {
    const STEPS: &'static [Step] = steps![m0001_first, m0002_broken];
}

mod m0002_second {
    use super::*;

    pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        // Fails when it runs twice.
        transaction
            .execute_unprepared("CREATE TABLE second (id TEXT PRIMARY KEY)")
            .await?;
        Ok(())
    }
}

mod m0002_broken {
    use super::*;

    pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        m0002_second::up(transaction).await?;
        transaction
            .execute_unprepared("CREATE TABLE item (id TEXT PRIMARY KEY)")
            .await?;
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
