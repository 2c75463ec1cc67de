//! The change feed, as a watcher sees it.

use identity_guard::ErrorReason;
use identity_proto::user::v1::{
    self as wire, ChangeCursor, ChangeKind,
    change::Change,
    watch_request::{Acknowledge, Message as Say, Ping, Start},
    watch_response::Message as Heard,
};

use crate::harness::{GATEWAY_KEY, SERVICE_KEY, Watcher, World, person, reason, start, violated};

async fn assign(world: &World, user_id: &str, role: &str) {
    let request = wire::AssignRolesRequest {
        user_id: user_id.into(),
        role_ids: vec![world.role(role).await],
        expire_time: None,
    };
    let answer = world.roles().assign_roles(world.by_admin(request)).await;
    answer.unwrap();
}

fn position(change: &wire::Change) -> ChangeCursor {
    change.position.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_gets_the_policy_then_each_change_in_order_and_resumes_from_its_cursor() {
    for world in World::all().await {
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        let snapshot = watcher.hear_snapshot().await;
        let viewer = snapshot.roles.iter().find(|role| role.name == "viewer");
        let viewer = viewer.expect("the policy has the role").clone();
        assert!(viewer.permissions.contains(&"users.read".to_owned()));
        let admin = snapshot.roles.iter().find(|role| role.built_in).unwrap();
        assert!(admin.permissions.is_empty());
        let known: Vec<_> = snapshot.subjects.iter().map(|one| &one.user_id).collect();
        assert_eq!(known, [&world.admin.id]);

        let ada = world.person().await;
        assign(&world, &ada.id, "viewer").await;
        world.suspend(&ada.id).await.unwrap();
        let heard = watcher.hear_changes(3).await;
        let of_ada = |id: &str| assert_eq!(id, ada.id);
        match &heard[0].change {
            Some(Change::UserCreated(created)) => of_ada(&created.user_id),
            other => panic!("{other:?}"),
        }
        match &heard[1].change {
            Some(Change::UserRightsChanged(changed)) => of_ada(&changed.user_id),
            other => panic!("{other:?}"),
        }
        match &heard[2].change {
            Some(Change::UserStatusChanged(changed)) => {
                of_ada(&changed.user_id);
                assert_eq!(changed.status(), wire::UserStatus::Suspended);
            }
            other => panic!("{other:?}"),
        }
        let from = snapshot.position.unwrap().revision;
        let revisions: Vec<_> = heard.iter().map(|one| position(one).revision).collect();
        assert_eq!(revisions, [from + 1, from + 2, from + 3]);
        assert!(heard.iter().all(|change| change.commit_time.is_some()));

        // Another stream goes on where the first change left it.
        let resumed = start(Some(position(&heard[0])), &[]);
        let mut resumed = Watcher::of(&world, resumed).await.unwrap();
        assert_eq!(resumed.hear_changes(2).await, heard[1..]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_history_or_from_the_future_means_a_snapshot() {
    for world in World::all().await {
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        let own = watcher.hear_snapshot().await.position.unwrap();
        let changed = |change: fn(&mut ChangeCursor)| {
            let mut cursor = own.clone();
            change(&mut cursor);
            cursor
        };
        for cursor in [
            changed(|cursor| cursor.epoch = "another".into()),
            changed(|cursor| cursor.nonce = "another".into()),
            changed(|cursor| cursor.nonce.clear()),
            changed(|cursor| cursor.revision += 1),
            changed(|cursor| cursor.revision = u64::MAX),
        ] {
            let begun = Watcher::of(&world, start(Some(cursor), &[])).await;
            begun.unwrap().hear_snapshot().await;
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_chooses_hears_its_kinds_and_how_far_the_feed_is() {
    for world in World::all().await {
        let kinds = [ChangeKind::UserStatusChanged];
        let mut watcher = Watcher::of(&world, start(None, &kinds)).await.unwrap();
        let from = watcher.hear_snapshot().await.position.unwrap().revision;
        let ada = world.person().await;
        // Nothing that it wants has happened, and it hears how far the feed is nevertheless.
        let reached = loop {
            if let Heard::Checkpoint(checkpoint) = watcher.next().await.unwrap()
                && let Some(position) = checkpoint.position
                && position.revision > from
            {
                break position;
            }
        };
        world.suspend(&ada.id).await.unwrap();
        let changes = watcher.hear_changes(1).await;
        assert!(matches!(
            changes[0].change,
            Some(Change::UserStatusChanged(_))
        ));
        let mut resumed = Watcher::of(&world, start(Some(reached), &kinds))
            .await
            .unwrap();
        assert_eq!(resumed.hear_changes(1).await, changes);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pong_says_how_far_and_how_old_the_feed_is() {
    for world in World::all().await {
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        let snapshot = watcher.hear_snapshot().await;
        let mut nonce = 0;
        let (position, age) = loop {
            nonce += 1;
            watcher.say(Say::Ping(Ping { nonce })).await;
            let Heard::Pong(pong) = watcher.hear().await else {
                panic!("no pong");
            };
            assert_eq!(pong.nonce, nonce);
            // Before the first proof there is neither.
            if let (Some(position), Some(age)) = (pong.position, pong.age) {
                break (position, age);
            }
        };
        assert_eq!(Some(&position), snapshot.position.as_ref());
        assert!(age.seconds < 5, "{age:?}");
        let taken = Acknowledge {
            position: Some(position),
        };
        watcher.say(Say::Acknowledge(taken)).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_told_as_it_is_and_a_deleted_permission_by_its_name() {
    for world in World::all().await {
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        watcher.hear_snapshot().await;
        let request = wire::CreatePermissionRequest {
            name: "reports.read".into(),
            ..Default::default()
        };
        let answer = world
            .permissions()
            .create_permission(world.by_admin(request))
            .await;
        let permission = answer.unwrap().into_inner().permission.unwrap();
        let role_id = world.role("viewer").await;
        let request = wire::GrantRolePermissionsRequest {
            role_id: role_id.clone(),
            permission_ids: vec![permission.id.clone()],
        };
        let answer = world
            .roles()
            .grant_role_permissions(world.by_admin(request))
            .await;
        answer.unwrap();
        let heard = watcher.hear_changes(2).await;
        match &heard[1].change {
            Some(Change::RoleChanged(changed)) => {
                let role = changed.role.clone().unwrap();
                assert_eq!(role.role_id, role_id);
                assert!(role.permissions.contains(&"reports.read".to_owned()));
            }
            other => panic!("{other:?}"),
        }

        let request = wire::DeletePermissionRequest {
            permission_id: permission.id.clone(),
            ..Default::default()
        };
        let answer = world
            .permissions()
            .delete_permission(world.by_admin(request))
            .await;
        answer.unwrap();
        match &watcher.hear_changes(1).await[0].change {
            Some(Change::PermissionDeleted(deleted)) => {
                assert_eq!(deleted.permission_id, permission.id);
                assert_eq!(deleted.name, "reports.read");
            }
            other => panic!("{other:?}"),
        }
        let mut fresh = Watcher::of(&world, start(None, &[])).await.unwrap();
        let snapshot = fresh.hear_snapshot().await;
        let has_it = |role: &wire::RolePolicy| role.permissions.contains(&"reports.read".into());
        assert!(!snapshot.roles.iter().any(has_it));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_beginning_is_refused_with_every_violation() {
    for world in World::all().await {
        let bad = Start {
            watcher_name: "No Name".to_owned(),
            max_staleness: None,
            kinds: vec![
                0,
                99,
                ChangeKind::UserCreated.into(),
                ChangeKind::UserCreated.into(),
            ],
            ..start(None, &[])
        };
        let mut watcher = Watcher::of(&world, bad).await.unwrap();
        assert_eq!(
            violated(watcher.next().await),
            [
                "start.kinds[0]",
                "start.kinds[1]",
                "start.kinds[3]",
                "start.max_staleness",
                "start.watcher_name"
            ]
        );
        let first = Say::Ping(Ping { nonce: 1 });
        let mut watcher = Watcher::begin(&world, first, SERVICE_KEY).await.unwrap();
        assert_eq!(violated(watcher.next().await), ["start"]);
        let refused = Watcher::begin(&world, Say::Start(start(None, &[])), GATEWAY_KEY).await;
        assert_eq!(
            reason(refused.map(|_| "let in")),
            ErrorReason::ScopeRequired
        );
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_says_goodbye() {
    for world in World::all().await {
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        watcher.hear_snapshot().await;
        let stopped = tokio::spawn(world.stop());
        assert!(matches!(watcher.hear().await, Heard::Goodbye(_)));
        stopped.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_are_heard_without_a_gap() {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    for world in World::all().await {
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        let from = watcher.hear_snapshot().await.position.unwrap().revision;
        let writers = futures_util::future::join_all((0..WRITERS).map(|writer| {
            let world = &world;
            async move {
                for number in 0..EACH {
                    let request = person(&format!("writer{writer}-{number}"));
                    world.create(&request).await.unwrap();
                }
            }
        }));
        let (changes, _) = tokio::join!(watcher.hear_changes(WRITERS * EACH), writers);
        let revisions: Vec<_> = changes.iter().map(|one| position(one).revision).collect();
        let expected: Vec<_> = (from + 1..).take(WRITERS * EACH).collect();
        assert_eq!(revisions, expected);
        world.stop().await;
    }
}
