//! Searching people: what is found, by which part of whom, and that nothing of the deleted is left.

use identity_proto::user::v1::{self as wire, UserOrder, UserStatus};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::harness::{World, person, violated};

async fn list(world: &World, request: wire::ListUsersRequest) -> wire::ListUsersResponse {
    world
        .users()
        .list_users(world.by_admin(request))
        .await
        .unwrap()
        .into_inner()
}

/// The usernames that a query finds, sorted.
async fn found(world: &World, query: &str) -> Vec<String> {
    let request = wire::ListUsersRequest {
        query: query.into(),
        order: UserOrder::UsernameAsc.into(),
        ..Default::default()
    };
    let users = list(world, request).await.users;
    users.into_iter().map(|user| user.username).collect()
}

async fn someone(world: &World, username: &str, first: &str, last: &str) -> wire::User {
    let request = wire::CreateUserRequest {
        first_name: first.into(),
        last_name: last.into(),
        ..person(username)
    };
    world.create(&request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_any_part_of_their_names_and_address() {
    for world in World::all().await {
        someone(&world, "zoe_o", "Zoë Maria", "Østergård").await;
        someone(&world, "ada.l", "Ada", "Lovelace").await;
        someone(&world, "grace", "日本", "100%").await;
        for (query, names) in [
            ("zoe maria ost", &["zoe_o"][..]),
            ("ØSTERGÅRD", &["zoe_o"]),
            ("stergard", &["zoe_o"]),
            ("velac", &["ada.l"]),
            ("Ada  LOVE", &["ada.l"]),
            ("a.l@exam", &["ada.l"]),
            ("本", &["grace"]),
            ("example.org", &["ada.l", "grace", "root", "zoe_o"]),
            ("lo", &["ada.l"]),
            ("o", &["ada.l", "grace", "root", "zoe_o"]),
            ("M", &["zoe_o"]),
            ("ov", &[]),
            ("nobody here", &[]),
        ] {
            assert_eq!(found(&world, query).await, names, "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_means_something_to_a_database_means_itself() {
    for world in World::all().await {
        someone(&world, "percent", "50%", "a_b\\c").await;
        someone(&world, "quotes", "say \"hi\"", "o'neil* -x").await;
        for (query, names) in [
            ("%", &["percent"][..]),
            ("0%", &["percent"]),
            ("a_b", &["percent"]),
            ("axb", &[]),
            ("\\", &["percent"]),
            ("\"", &["quotes"]),
            ("\"hi\"", &["quotes"]),
            ("'", &["quotes"]),
            ("*", &["quotes"]),
            ("percent*", &[]),
            ("percent OR quotes", &[]),
            ("NOT percent", &[]),
            ("-x", &["quotes"]),
            ("' OR 1=1 --", &[]),
            ("text:percent", &[]),
            ("^percent", &[]),
            ("$1", &[]),
            ("?", &[]),
        ] {
            assert_eq!(found(&world, query).await, names, "{query}");
        }
        let refused = |request| async {
            let answer = world.users().list_users(world.by_admin(request)).await;
            violated(answer)
        };
        let long = "é".repeat(101);
        for query in ["\0", "a\0b", " ", "\u{301}", &long] {
            let request = wire::ListUsersRequest {
                query: query.into(),
                permission: "Not A Name".into(),
                created_after_time: Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: -1,
                }),
                ..Default::default()
            };
            assert_eq!(
                refused(request).await,
                ["query", "permission", "created_after_time"],
                "{query:?}"
            );
        }
        let request = wire::ListUsersRequest {
            created_after_time: Some(prost_types::Timestamp::default()),
            created_before_time: Some(prost_types::Timestamp::default()),
            ..Default::default()
        };
        assert_eq!(refused(request).await, ["created_before_time"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_follows_every_change() {
    for world in World::all().await {
        let user = someone(&world, "grace", "Grace", "Murray").await;
        let request = wire::UpdateUserRequest {
            user_id: user.id.clone(),
            user: Some(wire::UserUpdate {
                last_name: Some("Hopper".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        world
            .users()
            .update_user(world.by_admin(request))
            .await
            .unwrap();
        assert!(found(&world, "murray").await.is_empty());
        assert_eq!(found(&world, "grace hop").await, ["grace"]);
        world.suspend(&user.id).await.unwrap();
        assert_eq!(found(&world, "hopper").await, ["grace"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_deleted_is_left_in_the_index() {
    for world in World::all().await {
        // Trigrams that nobody else has.
        let user = someone(&world, "grace", "Qxzwvk", "Murray").await;
        assert!(traces(&world, "qxz").await > 0);
        let request = wire::DeleteUserRequest {
            user_id: user.id,
            ..Default::default()
        };
        world
            .users()
            .delete_user(world.by_admin(request))
            .await
            .unwrap();
        assert_eq!(traces(&world, "qxz").await, 0);
        assert!(found(&world, "qxzwvk").await.is_empty());
    }
}

/// In how many rows of what searches stand on these letters are found; on SQLite also in the index as it is stored.
async fn traces(world: &World, letters: &str) -> i64 {
    let reader = world.app.store().database().reader();
    let backend = reader.get_database_backend();
    let sql = match backend {
        DbBackend::Sqlite => {
            "SELECT (SELECT count(*) FROM user_search WHERE instr(text, $1) > 0)
                + (SELECT count(*) FROM user_search_index_data WHERE instr(block, CAST($1 AS blob)) > 0) AS traces"
        }
        _ => "SELECT count(*) AS traces FROM user_search WHERE strpos(text, $1) > 0",
    };
    let statement = Statement::from_sql_and_values(backend, sql, [letters.into()]);
    let row = reader.query_one_raw(statement).await.unwrap().unwrap();
    let traces: i64 = row.try_get("", "traces").unwrap();
    let in_step = backend != DbBackend::Sqlite || traces != 1;
    assert!(in_step, "the text and its index are not in step");
    traces
}

#[tokio::test(flavor = "multi_thread")]
async fn holders_of_a_permission_are_those_who_have_it_in_any_way() {
    for world in World::all().await {
        let (direct, by_role, both, other) = (
            world.person().await,
            world.person().await,
            world.person().await,
            world.person().await,
        );
        for user in [&direct, &both] {
            world.grant(&user.id, "users.read").await;
        }
        for user in [&by_role, &both] {
            world.assign(&user.id, "viewer").await;
        }
        world.grant(&other.id, "users.delete").await;
        let holders = async |permission: &str| {
            let request = wire::ListUsersRequest {
                permission: permission.into(),
                order: UserOrder::CreateTimeAsc.into(),
                ..Default::default()
            };
            let users = list(&world, request).await.users;
            users.into_iter().map(|user| user.id).collect::<Vec<_>>()
        };
        let admin = world.admin.id.clone();
        assert_eq!(
            holders("users.read").await,
            [admin.as_str(), &direct.id, &by_role.id, &both.id]
        );
        assert_eq!(holders("users.delete").await, [admin.as_str(), &other.id]);
        // Nobody holds what there is not.
        assert!(holders("no.such").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_meet_and_are_counted_when_asked() {
    for world in World::all().await {
        let first = someone(&world, "ada1", "Ada", "One").await;
        let second = someone(&world, "ada2", "Ada", "Two").await;
        let third = someone(&world, "ada3", "Ada", "Three").await;
        world.suspend(&second.id).await.unwrap();
        let request = wire::ListUsersRequest {
            query: "ada".into(),
            status: UserStatus::Active.into(),
            created_after_time: first.create_time,
            created_before_time: third.create_time,
            order: UserOrder::UsernameAsc.into(),
            ..Default::default()
        };
        let page = list(&world, request.clone()).await;
        assert_eq!(page.users, std::slice::from_ref(&first));
        assert_eq!(page.estimated_total, None);
        let counted = wire::ListUsersRequest {
            page_size: 1,
            estimate_total: true,
            created_before_time: None,
            ..request
        };
        let page = list(&world, counted.clone()).await;
        assert_eq!((page.users.len(), page.estimated_total), (1, Some(2)));
        // Whether to count is no part of what a page token is for.
        let next = wire::ListUsersRequest {
            page_token: page.next_page_token,
            estimate_total: false,
            ..counted
        };
        assert_eq!(list(&world, next).await.users, [third]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_search_stay_right_while_people_come_and_go() {
    for world in World::all().await {
        let mut users = Vec::new();
        for number in 0..6 {
            users.push(someone(&world, &format!("page{number}"), "Paula", "Page").await);
        }
        let request = wire::ListUsersRequest {
            query: "paula page".into(),
            page_size: 2,
            order: UserOrder::UsernameAsc.into(),
            ..Default::default()
        };
        let mut page = list(&world, request.clone()).await;
        let mut names: Vec<_> = page
            .users
            .iter()
            .map(|user| user.username.clone())
            .collect();
        // One that was shown goes, one that is to come goes, and one comes at the end.
        for gone in [&users[0], &users[2]] {
            let delete = wire::DeleteUserRequest {
                user_id: gone.id.clone(),
                ..Default::default()
            };
            world
                .users()
                .delete_user(world.by_admin(delete))
                .await
                .unwrap();
        }
        someone(&world, "page9", "Paula", "Page").await;
        while !page.next_page_token.is_empty() {
            let next = wire::ListUsersRequest {
                page_token: page.next_page_token,
                ..request.clone()
            };
            page = list(&world, next).await;
            names.extend(page.users.iter().map(|user| user.username.clone()));
        }
        assert_eq!(
            names,
            ["page0", "page1", "page3", "page4", "page5", "page9"]
        );
    }
}
