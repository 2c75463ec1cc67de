//! What the two statements read, from their plans and their rows.

use identity_kit::{
    database::{Database, StoreError},
    testing::databases,
};
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::*;
use crate::store::migration::Migrator;

/// A thousand permissions, and thirty roles that give the first three.
const RIGHTS: [&str; 3] = [
    "INSERT INTO permissions (id, name, description, built_in, created_at, updated_at, version)
     SELECT 'p' || i, 'permission' || i, '', false, 0, 0, 1
     FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n) AS numbers",
    "INSERT INTO roles (id, name, description, built_in, created_at, updated_at, version)
     SELECT 'r' || i, 'role' || i, '', false, 0, 0, 1
     FROM (WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 39) SELECT i FROM n) AS numbers",
    "INSERT INTO role_permissions (role_id, permission_id, created_at)
     SELECT roles.id, permissions.id, 0 FROM roles CROSS JOIN permissions WHERE permissions.id IN ('p1', 'p2', 'p3')",
];

async fn fill(database: &Database) {
    let is_postgres = database.backend() == DbBackend::Postgres;
    let written = database.write(move |transaction| {
        Box::pin(async move {
            for statement in RIGHTS {
                transaction.execute_unprepared(statement).await?;
            }
            if is_postgres {
                transaction.execute_unprepared("ANALYZE").await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_holds_is_read_from_what_was_given_to_the_user() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let (explain, column, by_id) = match database.backend() {
            DbBackend::Sqlite => (
                "EXPLAIN QUERY PLAN",
                "detail",
                "SEARCH p USING INDEX sqlite_autoindex_permissions_1 (id=?)",
            ),
            _ => (
                "EXPLAIN",
                "QUERY PLAN",
                "Index Scan using permissions_pkey on permissions p",
            ),
        };
        let connection = database.reader().begin().await.unwrap();
        if database.backend() == DbBackend::Postgres {
            // So small a table is read whole where that is allowed.
            for setting in [
                "SET LOCAL enable_seqscan = off",
                "SET LOCAL enable_hashjoin = off",
            ] {
                connection.execute_unprepared(setting).await.unwrap();
            }
        }
        let statement = Statement::from_sql_and_values(
            database.backend(),
            format!("{explain} {HELD}"),
            [
                Value::from("somebody"),
                Value::from(0_i64),
                Value::from(""),
                Value::from(51_i64),
            ],
        );
        let plan: Vec<String> = connection
            .query_all_raw(statement)
            .await
            .unwrap()
            .iter()
            .map(|row| row.try_get("", column).unwrap())
            .collect();
        assert!(
            plan.iter().any(|step| step.contains(by_id)),
            "{by_id}: {plan:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_gives_no_more_granting_roles_than_are_told() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let names = ["permission1", "permission4"].map(|name| PermissionName::stored(name.into()));
        let nobody = UserId::new("nobody".into());
        let mut rows = StandingRow::find_by_statement(standings(
            database.backend(),
            &nobody,
            &names,
            Timestamp::from_micros(0),
        ))
        .all(database.reader())
        .await
        .unwrap();
        rows.sort_by(|left, right| left.name.cmp(&right.name));
        let granting = role_names(rows[0].granting.as_deref());
        let expected: Vec<_> = (10..30)
            .map(|number| RoleName::stored(format!("role{number}")))
            .collect();
        assert_eq!(granting, expected);
        assert_eq!(rows[1].granting, None);
    }
}
