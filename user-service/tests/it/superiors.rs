//! Nobody acts on somebody who holds more, whichever RPC it is and whatever comes at the same time.

use identity_guard::{ErrorReason, SystemClock, clock::Clock};
use identity_kit::audit::{Act, Actor};
use identity_proto::user::v1::{self as wire, UserStatus};
use tonic::Status;
use user_service::domain::{
    id::{RoleId, UserId},
    text::PersonName,
    user::UserChange,
};

use crate::harness::{World, lacking, reason};

/// Everything that the RPCs below ask of their caller.
const RIGHTS: [&str; 6] = [
    "users.update",
    "users.set_status",
    "users.delete",
    "roles.assign",
    "roles.grant",
    "permissions.grant",
];

/// An act of a user past the wire.
fn by(user_id: &str) -> Act {
    Act::new(Actor::user(user_id, "session"), "Test")
}

/// Somebody with those rights and no others.
async fn helper(world: &World) -> String {
    let id = world.person().await.id;
    for right in RIGHTS {
        world.grant(&id, right).await;
    }
    id
}

async fn update(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::UpdateUserRequest {
        user_id: user_id.into(),
        user: Some(wire::UserUpdate {
            email: Some(format!("{user_id}@new.example.org")),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut users = world.users();
    users.update_user(world.by(caller, request)).await.map(drop)
}

async fn suspend(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::SuspendUserRequest {
        user_id: user_id.into(),
        ..Default::default()
    };
    let mut users = world.users();
    users
        .suspend_user(world.by(caller, request))
        .await
        .map(drop)
}

async fn deactivate(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::DeactivateUserRequest {
        user_id: user_id.into(),
        ..Default::default()
    };
    let mut users = world.users();
    users
        .deactivate_user(world.by(caller, request))
        .await
        .map(drop)
}

async fn activate(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::ActivateUserRequest {
        user_id: user_id.into(),
        ..Default::default()
    };
    let mut users = world.users();
    users
        .activate_user(world.by(caller, request))
        .await
        .map(drop)
}

/// Gives a role that anybody may give, since it gives nothing.
async fn assign(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let role = world.new_role(&format!("nothing.{user_id}"), &[]).await;
    let request = wire::AssignRolesRequest {
        user_id: user_id.into(),
        role_ids: vec![role],
        expire_time: None,
    };
    let mut roles = world.roles();
    roles
        .assign_roles(world.by(caller, request))
        .await
        .map(drop)
}

async fn grant(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::GrantUserPermissionsRequest {
        user_id: user_id.into(),
        permission_ids: vec![world.permission("users.update").await],
        expire_time: None,
    };
    let mut permissions = world.permissions();
    permissions
        .grant_user_permissions(world.by(caller, request))
        .await
        .map(drop)
}

async fn unassign(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::UnassignRolesRequest {
        user_id: user_id.into(),
        role_ids: vec![world.role("viewer").await],
    };
    let mut roles = world.roles();
    roles
        .unassign_roles(world.by(caller, request))
        .await
        .map(drop)
}

async fn revoke(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::RevokeUserPermissionsRequest {
        user_id: user_id.into(),
        permission_ids: vec![world.permission("users.update").await],
    };
    let mut permissions = world.permissions();
    permissions
        .revoke_user_permissions(world.by(caller, request))
        .await
        .map(drop)
}

async fn delete(world: &World, caller: &str, user_id: &str) -> Result<(), Status> {
    let request = wire::DeleteUserRequest {
        user_id: user_id.into(),
        ..Default::default()
    };
    let mut users = world.users();
    users.delete_user(world.by(caller, request)).await.map(drop)
}

/// Every RPC that acts on a user, one after the other, the deletion last.
async fn act(world: &World, caller: &str, user_id: &str) -> [Result<(), Status>; 9] {
    [
        update(world, caller, user_id).await,
        suspend(world, caller, user_id).await,
        deactivate(world, caller, user_id).await,
        activate(world, caller, user_id).await,
        assign(world, caller, user_id).await,
        grant(world, caller, user_id).await,
        unassign(world, caller, user_id).await,
        revoke(world, caller, user_id).await,
        delete(world, caller, user_id).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_on_somebody_who_holds_more() {
    for world in World::all().await {
        let caller = helper(&world).await;
        let [by_role, directly, suspended] = [
            world.person().await.id,
            world.person().await.id,
            world.person().await.id,
        ];
        world.assign(&by_role, "viewer").await;
        world.grant(&directly, "users.create").await;
        world.assign(&suspended, "admin").await;
        world.suspend(&suspended).await.unwrap();
        for (user_id, permission) in [
            (world.admin.id.as_str(), "audit.read"),
            (&by_role, "permissions.read"),
            (&directly, "users.create"),
            (&suspended, "audit.read"),
        ] {
            for (index, answer) in act(&world, &caller, user_id).await.into_iter().enumerate() {
                assert_eq!(lacking(answer), permission, "action {index} on {user_id}");
            }
        }
        let request = wire::BatchGetUsersRequest {
            user_ids: vec![world.admin.id.clone(), suspended.clone()],
            ..Default::default()
        };
        let answer = world
            .users()
            .batch_get_users(world.by_admin(request))
            .await
            .unwrap();
        let users = answer.into_inner().users;
        assert_eq!(users[0], world.admin);
        assert_eq!(users[1].status(), UserStatus::Suspended);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_no_less_may_act() {
    for world in World::all().await {
        let caller = helper(&world).await;
        let (equal, nothing) = (helper(&world).await, world.person().await.id);
        let superior = world.person().await.id;
        world.assign(&superior, "admin").await;
        for (caller, user_id) in [
            (&caller, &nothing),
            (&caller, &equal),
            (&superior, &caller),
            (&world.admin.id, &superior),
        ] {
            for (index, answer) in act(&world, caller, user_id).await.into_iter().enumerate() {
                answer.unwrap_or_else(|status| panic!("action {index}: {status:?}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_permission_is_not_yet_the_role_admin() {
    for world in World::all().await {
        let caller = world.person().await.id;
        for permission in world.get_self(&world.admin.id).await.unwrap().permissions {
            world.grant(&caller, &permission).await;
        }
        for answer in act(&world, &caller, &world.admin.id).await {
            assert_eq!(lacking(answer), "*");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_acts_on_themselves_as_their_rights_say() {
    for world in World::all().await {
        let caller = helper(&world).await;
        world.assign(&caller, "viewer").await;
        update(&world, &caller, &caller).await.unwrap();
        assign(&world, &caller, &caller).await.unwrap();
        grant(&world, &caller, &caller).await.unwrap();
        unassign(&world, &caller, &caller).await.unwrap();
        delete(&world, &caller, &caller).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_on_somebody_who_has_just_become_more() {
    for world in World::all().await {
        let caller = helper(&world).await;
        let admin = world.role("admin").await;
        for round in 0..20 {
            let target = world.person().await.id;
            let (store, now) = (world.app.store().clone(), SystemClock.now());
            let (giver, user_id) = (by(&world.admin.id), target.clone());
            let role = RoleId::new(admin.clone());
            let assigned = tokio::spawn(async move {
                store
                    .assign_roles(giver, UserId::new(user_id), vec![role], None, now)
                    .await
            });
            let (store, actor, user_id) = (
                world.app.store().clone(),
                by(&caller),
                UserId::new(target.clone()),
            );
            let change = UserChange {
                first_name: Some(PersonName::parse("Other").unwrap()),
                ..UserChange::default()
            };
            let updated =
                tokio::spawn(
                    async move { store.update_user(actor, user_id, change, None, now).await },
                );
            let assigned = assigned.await.unwrap().unwrap();
            if let Ok(updated) = updated.await.unwrap() {
                assert!(
                    updated.position.revision < assigned.position.revision,
                    "round {round}: changed after the role was given"
                );
            }
            assert_eq!(
                reason(update(&world, &caller, &target).await),
                ErrorReason::GrantExceedsCaller
            );
        }
    }
}
