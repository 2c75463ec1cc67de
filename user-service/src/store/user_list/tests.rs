//! How the engines carry out each list of users, read from their plans.

use std::{sync::Arc, time::Duration};

use identity_kit::{
    clock::{SharedClock, SystemClock, Timestamp},
    database::{Database, StoreError},
    secret::{RootSecret, Secret},
    testing::databases,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};

use super::{narrow::Matches, *};
use crate::{
    domain::{
        id::{RoleId, UserTypeId},
        name::PermissionName,
        search::SearchQuery,
        user::UserStatus,
    },
    store::{Audit, RightsCache, migration::Migrator},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Two types, two thousand users, a role and a permission of each size, and words that few and all have.
const USERS: [&str; 9] = [
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
    "INSERT INTO permissions (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('r', 'rare', '', false, 0, 0, 1), ('c', 'common', '', false, 0, 0, 1)",
    "INSERT INTO role_permissions (role_id, permission_id, created_at)
     VALUES ('rare', 'r', 0), ('common', 'c', 0), ('rare', 'c', 0)",
    "INSERT INTO user_permissions (user_id, permission_id, created_at)
     SELECT id, 'r', 0 FROM users WHERE created_at % 150 = 0",
    "INSERT INTO user_search (user_id, text)
     SELECT id, 'RQQ' || username || 'R' || 'QQe' || created_at || 'ZEAYQQexampleRQQ' ||
        CASE WHEN created_at % 100 = 0 THEN 'adaZCAYQQlovelace' ELSE 'graceZCAYQQhopper' END FROM users",
];

/// What makes PostgreSQL read a whole table or sort it only where no index saves it from that.
const ONLY_WITHOUT_AN_INDEX: [&str; 3] = [
    "SET LOCAL enable_seqscan = off",
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

/// A connection whose planner has to use the indexes that are there. Only an index of trigrams needs bitmaps.
async fn planner(database: &Database, bitmaps: bool) -> DatabaseTransaction {
    let connection = database.reader().begin().await.unwrap();
    if database.backend() == DbBackend::Postgres {
        let no_bitmaps = (!bitmaps).then_some("SET LOCAL enable_bitmapscan = off");
        for setting in ONLY_WITHOUT_AN_INDEX.into_iter().chain(no_bitmaps) {
            connection.execute_unprepared(setting).await.unwrap();
        }
    }
    connection
}

/// Everybody, in the usual order.
fn everybody() -> UserFilter {
    UserFilter {
        status: None,
        user_type_id: None,
        role_id: None,
        permission: None,
        query: None,
        created_after: None,
        created_before: None,
        order: UserOrder::CreatedDescending,
    }
}

fn places() -> [(UserOrder, UserCursor); 3] {
    let created = UserCursor::Created {
        at: 1_000,
        id: "u1000".to_owned(),
    };
    let named = UserCursor::Username {
        key: "name5".to_owned(),
    };
    [
        (UserOrder::CreatedDescending, created.clone()),
        (UserOrder::CreatedAscending, created),
        (UserOrder::Username, named),
    ]
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
    let mut lists = Vec::new();
    for status in [None, Some(UserStatus::Suspended)] {
        for user_type in [None, Some("machine")] {
            for role in [None, Some("rare"), Some("common")] {
                for (order, place) in places() {
                    for after in [None, Some(place)] {
                        let filter = UserFilter {
                            status,
                            user_type_id: user_type.map(|id| UserTypeId::new(id.to_owned())),
                            role_id: role.map(|id| RoleId::new(id.to_owned())),
                            order,
                            ..everybody()
                        };
                        lists.push((filter, after));
                    }
                }
            }
        }
    }
    lists
}

/// Every filter that narrows a list, once with few and once with many matches, in every order.
fn narrowed() -> Vec<(UserFilter, Matches, Option<UserCursor>)> {
    let role = |name: &str| UserFilter {
        role_id: Some(RoleId::new(name.to_owned())),
        ..everybody()
    };
    let permission = |name: &str| UserFilter {
        permission: Some(PermissionName::parse(name).unwrap()),
        ..everybody()
    };
    let search = |query: &str| UserFilter {
        query: Some(SearchQuery::parse(query).unwrap()),
        ..everybody()
    };
    let created = |before| UserFilter {
        created_after: Some(Timestamp::from_micros(10)),
        created_before: Some(Timestamp::from_micros(before)),
        ..everybody()
    };
    let filters = [
        (role("rare"), Matches::Few),
        (role("common"), Matches::Many),
        (permission("rare"), Matches::Few),
        (permission("common"), Matches::Many),
        (search("lovelace"), Matches::Few),
        (search("ad"), Matches::Few),
        (search("example"), Matches::Many),
        (created(40), Matches::Few),
        (created(1_900), Matches::Many),
    ];
    let mut lists = Vec::new();
    for (filter, matches) in filters {
        for (order, place) in places() {
            for after in [None, Some(place)] {
                let filter = UserFilter {
                    order,
                    ..filter.clone()
                };
                lists.push((filter, matches, after));
            }
        }
    }
    lists
}

/// The statement of a list whose only narrowing filter has so many matches.
fn statement(
    filter: &UserFilter,
    matches: Matches,
    after: Option<&UserCursor>,
    backend: DbBackend,
) -> Select<user::Entity> {
    let narrow = Narrow::all(filter, NOW);
    let first = match matches {
        Matches::Few => narrow.first().copied(),
        Matches::Many => None,
    };
    ordered(query(filter, &narrow, first, backend), filter.order, after)
}

/// How the holders of one of the roles are found.
fn holders(filter: &UserFilter) -> Matches {
    match filter.role_id.as_ref().map(RoleId::as_str) {
        Some("rare") => Matches::Few,
        _ => Matches::Many,
    }
}

/// What a plan does that grows with the table.
fn waste(
    backend: DbBackend,
    filter: &UserFilter,
    matches: Matches,
    plan: &[String],
) -> Vec<String> {
    // A few matches are sorted and filtered, and nobody else.
    let few = matches == Matches::Few;
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
            // The few that an index of trigrams has found, or that were put together.
            let is_found = few
                && (step.starts_with("SCAN user_search_index VIRTUAL TABLE INDEX")
                    || *step == "SCAN matched");
            step.starts_with("SCAN") && !is_walk && !is_found
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
        let backend = database.backend();
        let connection = planner(&database, false).await;
        for (filter, after) in lists() {
            let matches = holders(&filter);
            let statement = statement(&filter, matches, after.as_ref(), backend);
            let plan = plan(&connection, statement).await;
            let waste = waste(backend, &filter, matches, &plan);
            assert!(
                waste.is_empty(),
                "{waste:?} for {filter:?} after {after:?}: {plan:#?}"
            );
            // PostgreSQL knows how few they are and may do better.
            if backend == DbBackend::Sqlite && matches == Matches::Few {
                assert!(
                    plan[0].contains("user_roles_by_role"),
                    "{filter:?}: {plan:#?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_narrowed_list_reads_or_sorts_the_whole_table() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let backend = database.backend();
        let connection = planner(&database, true).await;
        for (filter, matches, after) in narrowed() {
            let statement = statement(&filter, matches, after.as_ref(), backend);
            let plan = plan(&connection, statement).await;
            let waste = waste(backend, &filter, matches, &plan);
            assert!(
                waste.is_empty(),
                "{waste:?} for {filter:?} after {after:?}: {plan:#?}"
            );
            let index = match backend {
                DbBackend::Sqlite => "user_search_index VIRTUAL TABLE",
                _ => "user_search_by_trigram",
            };
            let is_found = plan.iter().any(|step| step.contains(index));
            assert_eq!(
                is_found,
                filter.query.is_some() && matches == Matches::Few,
                "{filter:?}: {plan:#?}"
            );
        }
    }
}

#[test]
fn matches_are_few_up_to_the_bound() {
    assert_eq!(Matches::of(5_000), Matches::Few);
    assert_eq!(Matches::of(5_001), Matches::Many);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_to_those_who_match_find_the_same() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let roles = lists()
            .into_iter()
            .filter(|(filter, _)| filter.role_id.is_some());
        let narrowed = narrowed()
            .into_iter()
            .map(|(filter, _, after)| (filter, after));
        for (filter, after) in roles.chain(narrowed) {
            let mut pages = Vec::new();
            for matches in [Matches::Few, Matches::Many] {
                let page = statement(&filter, matches, after.as_ref(), database.backend())
                    .limit(51)
                    .all(database.reader())
                    .await
                    .unwrap();
                pages.push(page);
            }
            assert!(
                after.is_some() || filter.role_id.is_some() || !pages[0].is_empty(),
                "{filter:?}"
            );
            assert_eq!(pages[0], pages[1], "{filter:?} after {after:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_narrow_a_list_meet() {
    for database in databases::<Migrator>().await {
        fill(&database).await;
        let store = store(&database);
        let filter = UserFilter {
            role_id: Some(RoleId::new("common".to_owned())),
            permission: Some(PermissionName::parse("rare").unwrap()),
            query: Some(SearchQuery::parse("Ada Love").unwrap()),
            status: Some(UserStatus::Suspended),
            created_before: Some(Timestamp::from_micros(1_000)),
            order: UserOrder::Username,
            ..everybody()
        };
        let page = store.list_users(&filter, None, 50, NOW).await.unwrap();
        let names: Vec<_> = page
            .items
            .iter()
            .map(|user| user.username.as_str())
            .collect();
        let hundreds = (1..10).map(|hundred| format!("name{hundred}00"));
        assert_eq!(names, hundreds.collect::<Vec<_>>());
        assert_eq!(store.count_users(&filter, NOW).await.unwrap(), 9);
        assert_eq!(store.count_users(&everybody(), NOW).await.unwrap(), 2_000);
    }
}

fn store(database: &Database) -> Store {
    let clock: SharedClock = Arc::new(SystemClock);
    let audit = Audit::new(&RootSecret::new(&Secret::new(vec![0; 32])), clock.clone());
    let rights = RightsCache::new(clock, Duration::from_secs(1));
    Store::new(database.clone(), Arc::new(rights), audit)
}
