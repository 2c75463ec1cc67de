//! What an installation begins with, and that reconciling it again changes nothing.

use std::sync::Arc;

use identity_guard::SystemClock;
use identity_kit::entropy::SystemEntropy;
use identity_proto::user::v1 as wire;
use user_service::setup;

use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_begins_with_roles_permissions_and_a_type() {
    for world in World::all().await {
        let named: Vec<_> = setup::rules().unwrap().permissions().into_iter().collect();
        let full = world.get_self(&world.admin.id).await.unwrap();
        assert_eq!(full.permissions, named);
        let permissions = async |role: &str| {
            let request = wire::GetRoleRequest {
                role_id: world.role(role).await,
                ..Default::default()
            };
            world
                .roles()
                .get_role(world.by_admin(request))
                .await
                .unwrap()
                .into_inner()
                .permissions
        };
        assert_eq!(permissions("admin").await, named);
        let reads: Vec<_> = named
            .iter()
            .filter(|name| {
                let verb = name.rsplit_once('.').map(|(_, verb)| verb);
                verb == Some("read") && name.as_str() != "audit.read"
            })
            .cloned()
            .collect();
        assert_eq!(permissions("viewer").await, reads);
        let mut edits = reads.clone();
        edits.extend(["users.create".to_owned(), "users.update".to_owned()]);
        edits.sort();
        assert_eq!(permissions("editor").await, edits);
        let types = world
            .user_types()
            .list_user_types(world.by_admin(wire::ListUserTypesRequest::default()))
            .await;
        let types = types.unwrap().into_inner().user_types;
        assert_eq!(
            (types[0].name.as_str(), types[0].built_in),
            ("person", true)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_again_changes_nothing() {
    for world in World::all().await {
        let before = world.app.store().head().await.unwrap();
        setup::migrate(
            &world.config,
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        )
        .await
        .unwrap();
        assert_eq!(world.app.store().head().await.unwrap(), before);
    }
}
