//! How the engines carry out each list of users, read from their plans.

use identity_kit::{
    database::{Database, StoreError},
    testing::databases,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};

use super::*;
use crate::{
    domain::{id::UserTypeId, user::UserStatus},
    store::migration::Migrator,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Two types, two thousand users and a role of each size.
const USERS: [&str; 5] = [
    "INSERT INTO user_types (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('person', 'person', '', true, 0, 0, 1), ('machine', 'machine', '', false, 0, 0, 1)",
    "INSERT INTO users (id, username, username_key, email, email_key, email_verified, first_name, last_name,
        address_street, address_extra, address_city, address_region, address_postal_code, address_country_code,
        status, status_reason, user_type_id, created_at, updated_at, version)
     SELECT 'u' || i, 'name' || i, 'name' || i, 'e' || i, 'e' || i, false, '', '', '', '', '', '', '', '',
        CASE WHEN i % 25 = 0 THEN 'suspended' ELSE 'active' END, '',
        CASE WHEN i % 20 = 0 THEN 'machine' ELSE 'person' END, i, i, 1
     FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n) AS numbers",
    "INSERT INTO roles (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('rare', 'rare', '', false, 0, 0, 1), ('common', 'common', '', false, 0, 0, 1)",
    "INSERT INTO user_roles (user_id, role_id, created_at) SELECT id, 'common', 0 FROM users",
    "INSERT INTO user_roles (user_id, role_id, created_at) SELECT id, 'rare', 0 FROM users WHERE created_at % 100 = 0",
];

/// What makes PostgreSQL read a whole table or sort it only where no index saves it from that.
const ONLY_WITHOUT_AN_INDEX: [&str; 4] = [
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL enable_bitmapscan = off",
    "SET LOCAL enable_sort = off",
    "SET LOCAL enable_incremental_sort = off",
];

async fn fill(database: &Database) {
    let is_postgres = database.backend() == DbBackend::Postgres;
    let written = database.write(move |transaction| {
        Box::pin(async move {
            for statement in USERS {
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

/// A connection whose planner has to use the indexes that are there.
async fn planner(database: &Database) -> DatabaseTransaction {
    let connection = database.reader().begin().await.unwrap();
    if database.backend() == DbBackend::Postgres {
        for setting in ONLY_WITHOUT_AN_INDEX {
            connection.execute_unprepared(setting).await.unwrap();
        }
    }
    connection
}

/// The steps of a plan.
async fn plan(connection: &DatabaseTransaction, query: Select<user::Entity>) -> Vec<String> {
    let backend = connection.get_database_backend();
    let (explain, column) = match backend {
        DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        _ => ("EXPLAIN", "QUERY PLAN"),
    };
    let query = query.limit(51).build(backend);
    let rows = connection
        .query_all_raw(Statement {
            sql: format!("{explain} {}", query.sql),
            ..query
        })
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.try_get("", column).unwrap())
        .collect()
}

/// Every filter, order and place there is. What a filter lets through is rare: for what nearly everybody is,
/// PostgreSQL rightly walks over all and leaves the others out.
fn lists() -> Vec<(UserFilter, Option<UserCursor>)> {
    let created = || UserCursor::Created {
        at: 1_000,
        id: "u1000".to_owned(),
    };
    let named = || UserCursor::Username {
        key: "name5".to_owned(),
    };
    let mut lists = Vec::new();
    for status in [None, Some(UserStatus::Suspended)] {
        for user_type in [None, Some("machine")] {
            for role in [None, Some("rare"), Some("common")] {
                for (order, place) in [
                    (UserOrder::CreatedDescending, created()),
                    (UserOrder::CreatedAscending, created()),
                    (UserOrder::Username, named()),
                ] {
                    for after in [None, Some(place)] {
                        let filter = UserFilter {
                            status,
                            user_type_id: user_type.map(|id| UserTypeId::new(id.to_owned())),
                            role_id: role.map(|id| RoleId::new(id.to_owned())),
                            order,
                        };
                        lists.push((filter, after));
                    }
                }
            }
        }
    }
    lists
}

/// How the holders of one of the roles are found.
fn holders(id: &RoleId) -> Holders {
    match id.as_str() {
        "rare" => Holders::Few,
        _ => Holders::Many,
    }
}

/// What a plan does that grows with the table.
fn waste(backend: DbBackend, filter: &UserFilter, plan: &[String]) -> Vec<String> {
    // The few holders of a role are sorted and filtered, and nobody else.
    let few = filter.role_id.as_ref().map(holders) == Some(Holders::Few);
    let filters = [
        filter.status.map(|_| "status"),
        filter.user_type_id.as_ref().map(|_| "user_type_id"),
    ];
    let filters = filters.into_iter().flatten();
    let is_waste = |step: &&String| {
        if backend == DbBackend::Sqlite {
            // What is walked over in the order of the list ends with the page, unless some are left out.
            let is_walk = step.starts_with("SCAN users USING INDEX");
            let leaves_out = |column| !step.contains(&format!("{column}=?"));
            step.starts_with("SCAN") && !is_walk
                || step.contains("TEMP B-TREE") && !few
                || step.contains(" users ") && !few && filters.clone().any(leaves_out)
        } else {
            let leaves_out = |column| step.contains(column);
            step.contains("Seq Scan")
                || step.contains("Sort ") && !few
                || step.contains("Filter:") && !few && filters.clone().any(leaves_out)
        }
    };
    plan.iter().filter(is_waste).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_of_users_reads_or_sorts_the_whole_table() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let connection = planner(&database).await;
        for (filter, after) in lists() {
            let role = filter.role_id.as_ref().map(|id| (id, holders(id)));
            let plan = plan(&connection, query(&filter, role, after.as_ref(), NOW)).await;
            let waste = waste(database.backend(), &filter, &plan);
            assert!(
                waste.is_empty(),
                "{waste:?} for {filter:?} after {after:?}: {plan:#?}"
            );
            // PostgreSQL knows how few they are and may do better.
            if database.backend() == DbBackend::Sqlite
                && role.is_some_and(|(_, holders)| holders == Holders::Few)
            {
                assert!(
                    plan[0].contains("user_roles_by_role"),
                    "{filter:?}: {plan:#?}"
                );
            }
        }
    }
}

#[test]
fn holders_are_few_up_to_the_bound() {
    assert_eq!(Holders::of(FEW), Holders::Few);
    assert_eq!(Holders::of(FEW + 1), Holders::Many);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_to_the_holders_of_a_role_find_the_same() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        for (filter, after) in lists() {
            let Some(id) = &filter.role_id else { continue };
            let mut pages = Vec::new();
            for holders in [Holders::Few, Holders::Many] {
                let page = query(&filter, Some((id, holders)), after.as_ref(), NOW)
                    .limit(51)
                    .all(database.reader())
                    .await
                    .unwrap();
                pages.push(page);
            }
            assert_eq!(pages[0], pages[1], "{filter:?} after {after:?}");
        }
    }
}
