//! Exports: everybody once, and one person whole.

use std::collections::HashMap;

use identity_guard::ErrorReason;
use identity_proto::user::v1::{self as wire, ImportResult};
use tonic::Status;

use crate::{
    harness::{World, reason},
    imports::{SSHA, person},
};

impl World {
    /// All users by their names, and the revision at the end.
    pub(crate) async fn export(&self) -> (HashMap<String, wire::ExportedUser>, String) {
        let request = wire::ExportUsersRequest::default();
        let answer = self.users().export_users(self.by_admin(request)).await;
        let mut stream = answer.unwrap().into_inner();
        let mut users = HashMap::new();
        let mut revision = String::new();
        while let Some(answer) = stream.message().await.unwrap() {
            assert!(revision.is_empty(), "the revision comes last");
            assert_eq!(answer.users.is_empty(), !answer.revision.is_empty());
            revision = answer.revision;
            for user in answer.users {
                let name = user.user.as_ref().unwrap().username.clone();
                assert!(users.insert(name, user).is_none(), "nobody comes twice");
            }
        }
        (users, revision)
    }

    async fn export_one(
        &self,
        by: &str,
        user_id: &str,
    ) -> Result<wire::ExportUserResponse, Status> {
        let user_id = user_id.to_owned();
        let min_revision = String::new();
        let request = wire::ExportUserRequest {
            user_id,
            min_revision,
        };
        let answer = self.users().export_user(self.by(by, request)).await?;
        Ok(answer.into_inner())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_everybody_once_with_names_and_ends_with_its_revision() {
    for world in World::all().await {
        let mut users: Vec<_> = (0..230).map(|n| person(&format!("user{n}"))).collect();
        users[3].roles = vec!["viewer".into(), "editor".into()];
        users[3].password_hash = SSHA.into();
        let outcomes = world.import(users).await;
        world.grant(&outcomes[3].user_id, "users.delete").await;
        let (exported, revision) = world.export().await;
        assert_eq!(exported.len(), 231);
        let third = &exported["user3"];
        assert_eq!(third.user_type, "person");
        assert_eq!(third.roles, ["editor", "viewer"]);
        assert_eq!(third.direct_permissions, ["users.delete"]);
        assert_eq!(exported["root"].roles, ["admin"]);
        let request = wire::ListUsersRequest {
            min_revision: revision,
            ..Default::default()
        };
        world
            .users()
            .list_users(world.by_admin(request))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_gets_everything_that_is_held_about_them_and_no_hash() {
    for world in World::all().await {
        let ada = wire::ImportedUser {
            roles: vec!["viewer".into()],
            password_hash: SSHA.into(),
            ..person("ada")
        };
        let ada = world.import(vec![ada]).await.remove(0).user_id;
        world.grant(&ada, "users.create").await;
        let request = wire::CreateUserRequest {
            request_id: "1".into(),
            ..crate::harness::person("bob")
        };
        let created = world.users().create_user(world.by(&ada, request)).await;
        let bob = created.unwrap().into_inner().user.unwrap();

        let held = world.export_one(&ada, &ada).await.unwrap();
        assert_eq!(held.user.as_ref().unwrap().username, "ada");
        assert_eq!(held.user_type, "person");
        assert_eq!(held.roles[0].name, "viewer");
        assert!(held.roles[0].create_time.is_some());
        assert_eq!(held.direct_permissions[0].name, "users.create");
        assert!(held.has_password && !held.password_change_required);
        assert_eq!(held.imports[0].source, "old");
        assert_eq!(held.imports[0].external_id, "id of ada");
        assert_eq!(held.remembered_requests, 1);
        assert!(!held.revision.is_empty());
        assert!(held.subscription.is_none() && held.waiting_email.is_empty());
        let asked = wire::RequestEmailChangeRequest {
            email: "ada@example.com".into(),
        };
        let mut users = world.users();
        let asked = users.request_email_change(world.by(&ada, asked));
        asked.await.unwrap();
        let subscribed = wire::CreateSubscriptionRequest {
            user_id: ada.clone(),
            plan: "BASIC".into(),
            ..Default::default()
        };
        let mut subscriptions = world.subscriptions();
        let subscribed = subscriptions.create_subscription(world.by_admin(subscribed));
        subscribed.await.unwrap();
        let more = world.export_one(&ada, &ada).await.unwrap();
        assert_eq!(more.subscription.unwrap().plan, "BASIC");
        assert_eq!(more.waiting_email, "ada@example.com");
        assert!(!format!("{held:?}").contains("ssha"));

        let other = world.export_one(&ada, &bob.id).await;
        assert_eq!(reason(other), ErrorReason::NotFound);
        let by_admin = world.export_one(&world.admin.id, &bob.id).await.unwrap();
        assert!(!by_admin.has_password && by_admin.imports.is_empty());
        let nobody = world.export_one(&world.admin.id, "nobody").await;
        assert_eq!(reason(nobody), ErrorReason::UserNotFound);

        // What the source called them goes with them.
        let request = wire::DeleteUserRequest {
            user_id: ada,
            ..Default::default()
        };
        world
            .users()
            .delete_user(world.by_admin(request))
            .await
            .unwrap();
        let again = world.import(vec![person("ada")]).await;
        assert_eq!(again[0].result(), ImportResult::Created);
    }
}
