//! Two processes on one database: what one takes away, the other no longer has.

use identity_guard::ErrorReason;
use identity_proto::user::v1 as wire;
use sea_orm::DbBackend;
use tonic::Status;

use crate::harness::{Replica, World, reason, until};

async fn list(world: &World, replica: &Replica, user_id: &str) -> Result<(), Status> {
    let request = world.by(user_id, wire::ListUsersRequest::default());
    replica.users().list_users(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_one_replica_takes_away_counts_no_longer_at_the_other() {
    for world in World::all().await {
        // Only one process serves an SQLite file.
        if world.app.store().database().backend() == DbBackend::Sqlite {
            continue;
        }
        let replica = world.replica().await;
        let user = world.person().await;
        world.assign(&user.id, "viewer").await;
        // From here on the replica keeps what it reads, and so would not see the change without the feed.
        let rights = replica.app.store().rights_cache();
        until("following the feed", async || rights.is_fresh()).await;
        list(&world, &replica, &user.id).await.unwrap();
        let request = wire::UnassignRolesRequest {
            user_id: user.id.clone(),
            role_ids: vec![world.role("viewer").await],
        };
        world
            .roles()
            .unassign_roles(world.by_admin(request))
            .await
            .unwrap();
        until("the loss of the role", async || {
            list(&world, &replica, &user.id).await.is_err()
        })
        .await;
        assert_eq!(
            reason(list(&world, &replica, &user.id).await),
            ErrorReason::PermissionRequired
        );
        replica.stop().await;
    }
}
