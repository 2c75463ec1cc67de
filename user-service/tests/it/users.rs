//! Users: creation, reads, changes, statuses and deletion.

use identity_guard::ErrorReason;
use identity_proto::user::v1::{self as wire, UserStatus};

use crate::harness::{World, person, reason, violated};

#[tokio::test(flavor = "multi_thread")]
async fn a_created_user_is_in_every_read() {
    for world in World::all().await {
        let mut request = person("Ada");
        request.phone = "+41446681800".into();
        request.address = Some(wire::Address {
            city: " Zürich ".into(),
            country_code: "CH".into(),
            ..Default::default()
        });
        let answer = world
            .users()
            .create_user(world.by_admin(request))
            .await
            .unwrap()
            .into_inner();
        let user = answer.user.unwrap();
        assert_eq!(
            (user.username.as_str(), user.status),
            ("Ada", UserStatus::Active.into())
        );
        assert_eq!(user.address.as_ref().unwrap().city, "Zürich");
        assert!(!user.email_verified && !user.etag.is_empty() && !user.user_type_id.is_empty());

        let own = world.get_self(&user.id).await.unwrap();
        assert_eq!(own.user.as_ref(), Some(&user));
        let request = wire::BatchGetUsersRequest {
            user_ids: vec!["unknown".into(), user.id.clone(), world.admin.id.clone()],
            min_revision: answer.revision,
        };
        let batch = world
            .users()
            .batch_get_users(world.by_admin(request))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(batch.users, [user, world.admin.clone()]);
        assert_eq!(batch.missing_user_ids, ["unknown"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_are_unique_without_regard_to_case() {
    for world in World::all().await {
        world.create(&person("ada")).await.unwrap();
        assert_eq!(
            reason(world.create(&person("ada")).await),
            ErrorReason::UsernameTaken
        );
        let mut same_name = person("ADA");
        same_name.email = "other@example.org".into();
        assert_eq!(
            reason(world.create(&same_name).await),
            ErrorReason::UsernameTaken
        );
        let mut same_email = person("bob");
        same_email.email = "Ada@Example.ORG".into();
        assert_eq!(
            reason(world.create(&same_email).await),
            ErrorReason::EmailTaken
        );

        let bob = world.create(&person("bob")).await.unwrap();
        let update = async |username: &str, email: Option<&str>| {
            let request = wire::UpdateUserRequest {
                user_id: bob.id.clone(),
                user: Some(wire::UserUpdate {
                    username: Some(username.into()),
                    email: email.map(str::to_owned),
                    ..Default::default()
                }),
                ..Default::default()
            };
            world.users().update_user(world.by_admin(request)).await
        };
        assert_eq!(
            reason(update("aDa", None).await),
            ErrorReason::UsernameTaken
        );
        // Of two that are taken every engine names the same, as for a new user.
        let both = update("aDa", Some("ada@example.org")).await;
        assert_eq!(reason(both), ErrorReason::UsernameTaken);
        let second = update("bob2", Some("ada@example.org")).await;
        assert_eq!(reason(second), ErrorReason::EmailTaken);
        update("BOB", None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_names_every_malformed_field() {
    for world in World::all().await {
        let request = wire::CreateUserRequest {
            username: "a".into(),
            email: "nobody".into(),
            first_name: String::new(),
            last_name: "a\nb".into(),
            phone: "044".into(),
            address: Some(wire::Address {
                country_code: "ch".into(),
                ..Default::default()
            }),
            user_type_id: "A".into(),
            password: "short".into(),
            request_id: "é".into(),
        };
        assert_eq!(
            violated(world.users().create_user(world.by_admin(request)).await),
            [
                "username",
                "email",
                "first_name",
                "last_name",
                "phone",
                "address.country_code",
                "user_type_id",
                "request_id",
                "password",
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gives_the_same_user() {
    for world in World::all().await {
        let mut request = person("ada");
        request.request_id = "one".into();
        let first = world.create(&request).await.unwrap();
        assert_eq!(world.create(&request).await.unwrap(), first);
        let mut other = person("bob");
        other.request_id = "one".into();
        assert_eq!(
            reason(world.create(&other).await),
            ErrorReason::RequestIdReused
        );

        // Eight at once meet in one user.
        request = person("carol");
        request.request_id = "two".into();
        let answers = (0..8).map(|_| {
            let (mut client, request) = (world.users(), world.by_admin(request.clone()));
            tokio::spawn(async move { client.create_user(request).await })
        });
        let mut ids = Vec::new();
        for answer in answers.collect::<Vec<_>>() {
            ids.push(answer.await.unwrap().unwrap().into_inner().user.unwrap().id);
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_changes_nothing() {
    for world in World::all().await {
        let user = world.person().await;
        let change = |etag: &str, name: &str| wire::UpdateUserRequest {
            user_id: user.id.clone(),
            user: Some(wire::UserUpdate {
                first_name: Some(name.into()),
                ..Default::default()
            }),
            etag: etag.into(),
            ..Default::default()
        };
        let answer = world
            .users()
            .update_user(world.by_admin(change(&user.etag, "New")))
            .await
            .unwrap();
        let changed = answer.into_inner().user.unwrap();
        assert_ne!(changed.etag, user.etag);
        let stale = world
            .users()
            .update_user(world.by_admin(change(&user.etag, "Newer")))
            .await;
        assert_eq!(reason(stale), ErrorReason::EtagMismatch);
        assert_eq!(
            world.get_self(&user.id).await.unwrap().user.unwrap(),
            changed
        );
        let delete = wire::DeleteUserRequest {
            user_id: user.id.clone(),
            etag: user.etag.clone(),
        };
        assert_eq!(
            reason(world.users().delete_user(world.by_admin(delete)).await),
            ErrorReason::EtagMismatch
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_profile_can_be_changed_but_for_address_and_type() {
    for world in World::all().await {
        let user = world.person().await;
        let change = |user_update| wire::UpdateUserRequest {
            user_id: user.id.clone(),
            user: Some(user_update),
            ..Default::default()
        };
        let name = change(wire::UserUpdate {
            first_name: Some("Own".into()),
            ..Default::default()
        });
        world
            .users()
            .update_user(world.by(&user.id, name))
            .await
            .unwrap();
        let email = change(wire::UserUpdate {
            email: Some("own@example.org".into()),
            ..Default::default()
        });
        let refused = world
            .users()
            .update_user(world.by(&user.id, email.clone()))
            .await;
        assert_eq!(reason(refused), ErrorReason::PermissionRequired);
        world
            .users()
            .update_user(world.by_admin(email))
            .await
            .unwrap();
        let unknown_type = change(wire::UserUpdate {
            user_type_id: Some("none".into()),
            ..Default::default()
        });
        let refused = world
            .users()
            .update_user(world.by_admin(unknown_type))
            .await;
        assert_eq!(reason(refused), ErrorReason::UserTypeNotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_is_refused_at_once_and_comes_back() {
    for world in World::all().await {
        let user = world.person().await;
        world.get_self(&user.id).await.unwrap();
        let first = world.suspend(&user.id).await.unwrap();
        assert_eq!(
            reason(world.get_self(&user.id).await),
            ErrorReason::TokenRevoked
        );
        let again = world.suspend(&user.id).await.unwrap();
        assert_eq!(again.user, first.user);
        let request = wire::ActivateUserRequest {
            user_id: user.id.clone(),
            reason: "cleared".into(),
            ..Default::default()
        };
        let active = world
            .users()
            .activate_user(world.by_admin(request))
            .await
            .unwrap()
            .into_inner()
            .user
            .unwrap();
        assert_eq!(
            (active.status, active.status_reason.as_str()),
            (UserStatus::Active.into(), "cleared")
        );
        world.get_self(&user.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_gone_and_the_name_is_free() {
    for world in World::all().await {
        let user = world.create(&person("ada")).await.unwrap();
        world.assign(&user.id, "editor").await;
        world.grant(&user.id, "users.delete").await;
        let delete = || wire::DeleteUserRequest {
            user_id: user.id.clone(),
            etag: String::new(),
        };
        world
            .users()
            .delete_user(world.by_admin(delete()))
            .await
            .unwrap();
        assert_eq!(
            reason(world.users().delete_user(world.by_admin(delete())).await),
            ErrorReason::UserNotFound
        );
        assert_eq!(
            reason(world.get_self(&user.id).await),
            ErrorReason::TokenRevoked
        );
        let again = world.create(&person("ada")).await.unwrap();
        assert_ne!(again.id, user.id);
        assert!(
            world
                .get_self(&again.id)
                .await
                .unwrap()
                .permissions
                .is_empty()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_id_is_not_found_whether_it_exists_or_not() {
    for world in World::all().await {
        let (user, other) = (world.person().await, world.person().await);
        for id in [other.id.as_str(), "nobody"] {
            let request = wire::GetUserRequest {
                user_id: id.into(),
                ..Default::default()
            };
            assert_eq!(
                reason(world.users().get_user(world.by(&user.id, request)).await),
                ErrorReason::NotFound
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_ends_within_its_bound() {
    for world in World::all().await {
        world.person().await;
        world.stop().await;
    }
}
