//! Everything that is read of rights, against a model that tries every grant at every moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use identity_guard::clock::{ManualClock, Timestamp};
use identity_kit::{
    database::{Database, StoreError},
    secret::{RootSecret, Secret},
    testing::databases,
};
use proptest::{
    collection::{btree_map, btree_set},
    option,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sea_orm::ConnectionTrait;
use tokio::runtime::Handle;
use user_service::{
    domain::{
        access::{Giver, Source},
        id::{RoleId, UserId},
        name::PermissionName,
        page::Page,
        user::{UserFilter, UserOrder},
    },
    store::{Audit, Holder, RightsCache, Store, migration::Migrator},
};

const USERS: u8 = 5;
const ROLES: u8 = 5;
const PERMISSIONS: u8 = 6;
/// The role that holds everything.
const ADMIN: u8 = 0;
/// Ends and the clock are moments from zero up to this.
const MOMENTS: i64 = 6;
const CASES: u32 = 16;

/// A moment at which something ends; `None` means never.
type End = Option<i64>;

/// What users are listed by.
#[derive(Clone, Copy, Debug)]
enum What {
    Role(u8),
    Permission(u8),
}

/// Who has what, as numbers.
#[derive(Clone, Debug)]
struct Graph {
    gives: BTreeSet<(u8, u8)>,
    roles: BTreeMap<(u8, u8), End>,
    direct: BTreeMap<(u8, u8), End>,
}

fn graphs() -> impl Strategy<Value = Graph> {
    let end = || option::weighted(0.7, 1..=MOMENTS);
    (
        btree_set((1..ROLES, 0..PERMISSIONS), 0..14),
        btree_map((0..USERS, 0..ROLES), end(), 0..14),
        btree_map((0..USERS, 0..PERMISSIONS), end(), 0..10),
    )
        .prop_map(|(gives, roles, direct)| Graph {
            gives,
            roles,
            direct,
        })
}

fn lives(end: End, now: i64) -> bool {
    end.is_none_or(|end| now < end)
}

fn stamp(end: End) -> Option<Timestamp> {
    end.map(Timestamp::from_micros)
}

impl Graph {
    fn gives(&self, role: u8, permission: u8) -> bool {
        role == ADMIN || self.gives.contains(&(role, permission))
    }

    fn roles_of(&self, user: u8, now: i64) -> Vec<(String, Option<Timestamp>)> {
        let mut roles = Vec::new();
        for ((owner, role), end) in &self.roles {
            if *owner == user && lives(*end, now) {
                roles.push((format!("role{role}"), stamp(*end)));
            }
        }
        roles
    }

    fn sources(&self, user: u8, permission: u8, now: i64) -> Vec<Source> {
        let mut sources = Vec::new();
        if let Some(end) = self.direct.get(&(user, permission))
            && lives(*end, now)
        {
            sources.push((Giver::Direct, *end));
        }
        for role in 0..ROLES {
            if let Some(end) = self.roles.get(&(user, role))
                && lives(*end, now)
                && self.gives(role, permission)
            {
                let name = user_service::domain::name::RoleName::parse(&format!("role{role}"));
                sources.push((Giver::Role(name.unwrap()), *end));
            }
        }
        let source = |(giver, end)| Source {
            giver,
            ends_at: stamp(end),
        };
        sources.into_iter().map(source).collect()
    }

    fn held(&self, user: u8, now: i64) -> Vec<(String, Vec<Source>)> {
        (0..PERMISSIONS)
            .map(|permission| {
                let name = format!("permission{permission}");
                (name, self.sources(user, permission, now))
            })
            .filter(|(_, sources)| !sources.is_empty())
            .collect()
    }

    /// Those who have a role, or hold a permission.
    fn holders(&self, what: What, now: i64) -> Vec<String> {
        (0..USERS)
            .filter(|user| match what {
                What::Role(role) => self
                    .roles
                    .get(&(*user, role))
                    .is_some_and(|end| lives(*end, now)),
                What::Permission(permission) => !self.sources(*user, permission, now).is_empty(),
            })
            .map(|user| format!("user{user}"))
            .collect()
    }

    /// Statements that make a database hold this and nothing else.
    fn sql(&self) -> String {
        let end = |end: &End| end.map_or("NULL".to_owned(), |end| end.to_string());
        let mut sql = String::new();
        for table in [
            "user_roles",
            "user_permissions",
            "role_permissions",
            "users",
        ] {
            writeln!(sql, "DELETE FROM {table};").unwrap();
        }
        for table in ["roles", "permissions", "user_types"] {
            writeln!(sql, "DELETE FROM {table};").unwrap();
        }
        let columns = "(id, name, description, built_in, created_at, updated_at, version)";
        writeln!(
            sql,
            "INSERT INTO user_types {columns} VALUES ('t', 't', '', true, 0, 0, 1);"
        )
        .unwrap();
        for user in 0..USERS {
            writeln!(
                sql,
                "INSERT INTO users (id, username, username_key, email, email_key, email_verified, first_name, last_name,
                    address_street, address_extra, address_city, address_region, address_postal_code,
                    address_country_code, status, status_reason, user_type_id, created_at, updated_at, version)
                 VALUES ('user{user}', 'user{user}', 'user{user}', 'e{user}', 'e{user}', false, '', '', '', '', '', '',
                    '', '', 'active', '', 't', {}, 0, 1);",
                // Two of a moment, so that the id decides their order.
                user / 2
            )
            .unwrap();
        }
        for role in 0..ROLES {
            let built_in = role == ADMIN;
            writeln!(
                sql,
                "INSERT INTO roles {columns} VALUES ('role{role}', 'role{role}', '', {built_in}, 0, 0, 1);"
            )
            .unwrap();
        }
        for permission in 0..PERMISSIONS {
            let name = format!("permission{permission}");
            writeln!(
                sql,
                "INSERT INTO permissions {columns} VALUES ('{name}', '{name}', '', false, 0, 0, 1);"
            )
            .unwrap();
        }
        for (role, permission) in &self.gives {
            writeln!(
                sql,
                "INSERT INTO role_permissions (role_id, permission_id, created_at)
                 VALUES ('role{role}', 'permission{permission}', 0);"
            )
            .unwrap();
        }
        for ((user, role), until) in &self.roles {
            writeln!(
                sql,
                "INSERT INTO user_roles (user_id, role_id, created_at, ends_at)
                 VALUES ('user{user}', 'role{role}', 0, {});",
                end(until)
            )
            .unwrap();
        }
        for ((user, permission), until) in &self.direct {
            writeln!(
                sql,
                "INSERT INTO user_permissions (user_id, permission_id, created_at, ends_at)
                 VALUES ('user{user}', 'permission{permission}', 0, {});",
                end(until)
            )
            .unwrap();
        }
        sql
    }
}

/// Everything of a list, page by page.
async fn pages<T, C>(size: u64, read: impl AsyncFn(Option<C>) -> Page<T, C>) -> Vec<T> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let page = read(after).await;
        assert!(page.items.len() as u64 <= size);
        items.extend(page.items);
        match page.next {
            None => return items,
            next => after = next,
        }
    }
}

/// Compares what is read of one user with the model.
async fn compare_user(store: &Store, graph: &Graph, user: u8, moment: i64) {
    let now = Timestamp::from_micros(moment);
    let id = UserId::new(format!("user{user}"));
    let held = graph.held(user, moment);
    let names: Vec<_> = held.iter().map(|(name, _)| name.clone()).collect();
    let roles = graph.roles_of(user, moment);
    let all: Vec<_> = (0..PERMISSIONS)
        .map(|permission| PermissionName::parse(&format!("permission{permission}")).unwrap())
        .collect();
    let mut standings = store.list_standings(&id, &all, now).await.unwrap();
    standings.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    for (permission, standing) in (0..PERMISSIONS).zip(standings) {
        assert_eq!(standing.sources, graph.sources(user, permission, moment));
    }
    let full = store.find_full_user(&id, true, now).await.unwrap().unwrap();
    let texts = |names: Vec<PermissionName>| -> Vec<_> {
        names.into_iter().map(PermissionName::into_string).collect()
    };
    assert_eq!(texts(full.permissions), names);
    let access = store.find_access(&id, now).await.unwrap().unwrap();
    assert_eq!(texts(access.effective), names);
    let granted = access.roles.into_iter();
    let granted: Vec<_> = granted
        .map(|grant| (grant.name.into_string(), grant.ends_at))
        .collect();
    assert_eq!(granted, roles);
    for size in 1..=u64::from(PERMISSIONS) + 1 {
        let listed = pages(size, async |after| {
            let page = store.list_user_permissions(&id, after.as_ref(), size, now);
            page.await.unwrap()
        });
        let listed: Vec<_> = listed
            .await
            .into_iter()
            .map(|held| (held.permission.name.into_string(), held.sources))
            .collect();
        assert_eq!(listed, held, "user{user} at {moment} by {size}");
        let listed = pages(size, async |after| {
            let page = store.list_user_roles(&id, after.as_ref(), size, now);
            page.await.unwrap()
        });
        let listed: Vec<_> = listed
            .await
            .into_iter()
            .map(|assigned| (assigned.role.name.into_string(), assigned.ends_at))
            .collect();
        assert_eq!(listed, roles, "user{user} at {moment} by {size}");
    }
}

/// Compares who has a role, or holds a permission, with the model.
async fn compare_holders(store: &Store, graph: &Graph, what: What, moment: i64) {
    let expected = graph.holders(what, moment);
    let (role_id, permission) = match what {
        What::Role(role) => (Some(RoleId::new(format!("role{role}"))), None),
        What::Permission(permission) => {
            let name = format!("permission{permission}");
            (None, Some(PermissionName::parse(&name).unwrap()))
        }
    };
    for order in [
        UserOrder::Username,
        UserOrder::CreatedAscending,
        UserOrder::CreatedDescending,
    ] {
        let now = Timestamp::from_micros(moment);
        let filter = UserFilter {
            status: None,
            user_type_id: None,
            role_id: role_id.clone(),
            permission: permission.clone(),
            query: None,
            created_after: None,
            created_before: None,
            order,
        };
        for size in 1..=u64::from(USERS) + 1 {
            let listed = pages(size, async |after| {
                let page = store.list_users(&filter, after.as_ref(), size, now);
                page.await.unwrap()
            });
            let mut listed: Vec<_> = listed
                .await
                .into_iter()
                .map(|user| user.id.into_string())
                .collect();
            if order == UserOrder::CreatedDescending {
                listed.reverse();
            }
            assert_eq!(listed, expected, "{what:?} at {moment} by {size}");
        }
        let count = store.count_users(&filter, now).await.unwrap();
        assert_eq!(count, expected.len() as u64, "{what:?} at {moment}");
    }
}

async fn compare(database: &Database, store: &Store, graph: Graph) {
    let sql = graph.sql();
    let written = database.write(move |transaction| {
        let sql = sql.clone();
        Box::pin(async move {
            transaction.execute_unprepared(&sql).await?;
            Ok::<_, StoreError>(())
        })
    });
    written.await.unwrap();
    for moment in 0..=MOMENTS {
        for user in 0..USERS {
            compare_user(store, &graph, user, moment).await;
        }
        for role in 0..ROLES {
            compare_holders(store, &graph, What::Role(role), moment).await;
        }
        for permission in 0..PERMISSIONS {
            compare_holders(store, &graph, What::Permission(permission), moment).await;
        }
        // Whether or not the rows of what has ended are there plays no part.
        if moment % 2 == 0 {
            let now = Timestamp::from_micros(moment);
            let keeper = Holder::new("keeper".to_owned());
            store.carry_out_ends(keeper, now).await.unwrap().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_of_rights_agrees_with_a_model_at_every_moment_and_page_size() {
    for database in databases::<Migrator>().await {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let audit = Audit::new(&RootSecret::new(&Secret::new(vec![0; 32])), clock.clone());
        let rights = RightsCache::new(clock, Duration::from_secs(5));
        let store = Store::new(database.database().clone(), Arc::new(rights), audit);
        let runtime = Handle::current();
        let mut runner = TestRunner::new_with_rng(
            Config {
                cases: CASES,
                failure_persistence: None,
                ..Config::default()
            },
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        );
        let run = runner.run(&graphs(), |graph| {
            tokio::task::block_in_place(|| {
                runtime.block_on(compare(&database, &store, graph));
            });
            Ok(())
        });
        run.unwrap();
    }
}
