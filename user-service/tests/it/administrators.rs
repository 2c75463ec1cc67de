//! The last administrator stays, also when two changes come at once.

use identity_guard::ErrorReason;
use identity_proto::user::v1 as wire;

use crate::harness::{World, reason};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_cannot_be_taken_away() {
    for world in World::all().await {
        let id = world.admin.id.clone();
        assert_eq!(
            reason(world.suspend(&id).await),
            ErrorReason::LastAdministrator
        );
        let deactivate = wire::DeactivateUserRequest {
            user_id: id.clone(),
            ..Default::default()
        };
        assert_eq!(
            reason(
                world
                    .users()
                    .deactivate_user(world.by_admin(deactivate))
                    .await
            ),
            ErrorReason::LastAdministrator
        );
        let delete = wire::DeleteUserRequest {
            user_id: id.clone(),
            ..Default::default()
        };
        assert_eq!(
            reason(world.users().delete_user(world.by_admin(delete)).await),
            ErrorReason::LastAdministrator
        );
        let demote = wire::UnassignRolesRequest {
            user_id: id.clone(),
            role_ids: vec![world.role("admin").await],
        };
        assert_eq!(
            reason(world.roles().unassign_roles(world.by_admin(demote)).await),
            ErrorReason::LastAdministrator
        );

        // A suspended second one does not count.
        let second = world.person().await;
        world.assign(&second.id, "admin").await;
        world.suspend(&second.id).await.unwrap();
        assert_eq!(
            reason(world.suspend(&id).await),
            ErrorReason::LastAdministrator
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_administrators_who_take_each_other_away_at_once_one_stays() {
    const ROUNDS: usize = 200;
    for world in World::all().await {
        let other = world.person().await;
        for round in 0..ROUNDS {
            world.assign(&other.id, "admin").await;
            let suspend = wire::SuspendUserRequest {
                user_id: world.admin.id.clone(),
                ..Default::default()
            };
            let demote = wire::UnassignRolesRequest {
                user_id: other.id.clone(),
                role_ids: vec![world.role("admin").await],
            };
            let (suspend, demote) = (world.by(&other.id, suspend), world.by_admin(demote));
            let (mut users, mut roles) = (world.users(), world.roles());
            let (suspended, demoted) = tokio::join!(
                tokio::spawn(async move { users.suspend_user(suspend).await.map(drop) }),
                tokio::spawn(async move { roles.unassign_roles(demote).await.map(drop) }),
            );
            let done = [suspended.unwrap(), demoted.unwrap()];
            assert!(
                done.iter().filter(|done| done.is_ok()).count() <= 1,
                "round {round}: {done:?}"
            );
            let request = wire::ActivateUserRequest {
                user_id: world.admin.id.clone(),
                ..Default::default()
            };
            let survivor = if done[0].is_ok() {
                &other.id
            } else {
                &world.admin.id
            };
            world
                .users()
                .activate_user(world.by(survivor, request))
                .await
                .unwrap();
        }
    }
}
