//! Consistency tokens: a read at a write's revision sees it, and what nobody wrote is not waited for in vain.

use identity_guard::{ErrorReason, position::Position};
use identity_kit::consistency::ConsistencyTokens;
use identity_proto::user::v1 as wire;

use crate::harness::{World, reason, violated};

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_grows_with_every_write_and_reads_reach_it() {
    for world in World::all().await {
        let user = world.person().await;
        let first = world.suspend(&user.id).await.unwrap().revision;
        let request = wire::ActivateUserRequest {
            user_id: user.id.clone(),
            ..Default::default()
        };
        let second = world
            .users()
            .activate_user(world.by_admin(request))
            .await
            .unwrap()
            .into_inner()
            .revision;
        assert_ne!(first, second);
        for min_revision in [first, second] {
            let request = wire::GetUserRequest {
                user_id: user.id.clone(),
                min_revision,
                ..Default::default()
            };
            world
                .users()
                .get_user(world.by_admin(request))
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_revision_is_malformed_and_one_to_come_is_not_reached() {
    for world in World::all().await {
        let read = |min_revision: String| {
            world.by_admin(wire::ListRolesRequest {
                min_revision,
                ..Default::default()
            })
        };
        assert_eq!(
            violated(world.roles().list_roles(read("made up".into())).await),
            ["min_revision"]
        );
        let root = world.config.access.root_secret().unwrap();
        let tokens = ConsistencyTokens::new("user", root.derive("consistency tokens"));
        let head = world.app.store().head().await.unwrap();
        let ahead = tokens.encode(&Position::new(head.epoch, head.revision + 1_000));
        assert_eq!(
            reason(world.roles().list_roles(read(ahead)).await),
            ErrorReason::RevisionNotReached
        );
        let elsewhere = tokens.encode(&Position::new("elsewhere", 1));
        assert_eq!(
            reason(world.roles().list_roles(read(elsewhere)).await),
            ErrorReason::RevisionNotReached
        );
    }
}
