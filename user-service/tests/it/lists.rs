//! Pages: complete, in order, and bound to their query and caller.

use identity_proto::user::v1::{self as wire, UserOrder, UserStatus};

use crate::harness::{World, violated};

async fn walk(world: &World, query: wire::ListUsersRequest) -> Vec<String> {
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let request = wire::ListUsersRequest {
            page_size: 3,
            page_token: token,
            ..query.clone()
        };
        let page = world
            .users()
            .list_users(world.by_admin(request))
            .await
            .unwrap()
            .into_inner();
        assert!(page.users.len() <= 3);
        names.extend(page.users.into_iter().map(|user| user.username));
        token = page.next_page_token;
        if token.is_empty() {
            return names;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_walks_over_everybody_once() {
    for world in World::all().await {
        let mut created = vec![world.admin.username.clone()];
        for _ in 0..10 {
            created.push(world.person().await.username);
        }
        let order = |order: UserOrder| wire::ListUsersRequest {
            order: order.into(),
            ..Default::default()
        };
        assert_eq!(walk(&world, order(UserOrder::CreateTimeAsc)).await, created);
        created.reverse();
        assert_eq!(walk(&world, order(UserOrder::Unspecified)).await, created);
        created.sort();
        assert_eq!(walk(&world, order(UserOrder::UsernameAsc)).await, created);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_a_list() {
    for world in World::all().await {
        let (viewer, suspended) = (world.person().await, world.person().await);
        world.assign(&viewer.id, "viewer").await;
        world.suspend(&suspended.id).await.unwrap();
        let by_role = wire::ListUsersRequest {
            role_id: world.role("viewer").await,
            ..Default::default()
        };
        assert_eq!(walk(&world, by_role).await, [viewer.username]);
        let by_status = wire::ListUsersRequest {
            status: UserStatus::Suspended.into(),
            ..Default::default()
        };
        assert_eq!(walk(&world, by_status).await, [suspended.username]);
        let by_type = wire::ListUsersRequest {
            user_type_id: world.admin.user_type_id.clone(),
            ..Default::default()
        };
        assert_eq!(walk(&world, by_type).await.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_good_for_its_query_and_caller_alone() {
    for world in World::all().await {
        let user = world.person().await;
        world.assign(&user.id, "viewer").await;
        let query = wire::ListUsersRequest {
            page_size: 1,
            ..Default::default()
        };
        let page = world
            .users()
            .list_users(world.by_admin(query.clone()))
            .await
            .unwrap()
            .into_inner();
        let next = wire::ListUsersRequest {
            page_token: page.next_page_token.clone(),
            ..query
        };
        world
            .users()
            .list_users(world.by_admin(next.clone()))
            .await
            .unwrap();

        let by_other = world
            .users()
            .list_users(world.by(&user.id, next.clone()))
            .await;
        assert_eq!(violated(by_other), ["page_token"]);
        let other_query = wire::ListUsersRequest {
            status: UserStatus::Active.into(),
            ..next.clone()
        };
        assert_eq!(
            violated(world.users().list_users(world.by_admin(other_query)).await),
            ["page_token"]
        );
        let mut tampered = next;
        tampered.page_token.replace_range(
            ..1,
            if tampered.page_token.starts_with('A') {
                "B"
            } else {
                "A"
            },
        );
        assert_eq!(
            violated(world.users().list_users(world.by_admin(tampered)).await),
            ["page_token"]
        );
        let malformed = wire::ListUsersRequest {
            page_size: -1,
            status: 99,
            order: 99,
            ..Default::default()
        };
        let refused = world.users().list_users(world.by_admin(malformed)).await;
        assert_eq!(violated(refused), ["page_size", "status", "order"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_holds_is_listed_page_by_page() {
    for world in World::all().await {
        let user = world.person().await;
        world.assign(&user.id, "viewer").await;
        world.grant(&user.id, "users.read").await;
        world.grant(&user.id, "users.delete").await;
        for user_id in [&user.id, &world.admin.id] {
            let mut names = Vec::new();
            let mut token = String::new();
            loop {
                let request = wire::ListUserPermissionsRequest {
                    user_id: user_id.clone(),
                    page_size: 3,
                    page_token: token,
                    ..Default::default()
                };
                let page = world
                    .permissions()
                    .list_user_permissions(world.by(user_id, request))
                    .await
                    .unwrap()
                    .into_inner();
                assert!(page.permissions.len() <= 3);
                for held in page.permissions {
                    assert!(!held.sources.is_empty());
                    names.push(held.permission.unwrap().name);
                }
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(names, world.get_self(user_id).await.unwrap().permissions);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_things_are_listed_by_name() {
    for world in World::all().await {
        let mut names = Vec::new();
        let mut token = String::new();
        loop {
            let request = wire::ListPermissionsRequest {
                page_size: 7,
                page_token: token,
                ..Default::default()
            };
            let page = world
                .permissions()
                .list_permissions(world.by_admin(request))
                .await
                .unwrap()
                .into_inner();
            names.extend(
                page.permissions
                    .into_iter()
                    .map(|permission| permission.name),
            );
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert!(names.is_sorted());
        assert_eq!(
            names,
            world.get_self(&world.admin.id).await.unwrap().permissions
        );
    }
}
