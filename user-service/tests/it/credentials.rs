//! What auth-service reads and writes on the internal listener.

use identity_guard::ErrorReason;
use identity_proto::user::v1::{
    self as wire, PasswordChangeCause, UserStatus, get_credential_request::Identifier,
};
use tonic::Status;

use crate::harness::{GATEWAY_KEY, SERVICE_KEY, World, person, reason, violated, with_key};

async fn credential(
    world: &World,
    identifier: Identifier,
) -> Result<wire::GetCredentialResponse, Status> {
    let request = wire::GetCredentialRequest {
        identifier: Some(identifier),
    };
    let answer = world
        .credentials()
        .get_credential(with_key(request, SERVICE_KEY))
        .await?;
    Ok(answer.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_finds_everything_in_one_answer() {
    for world in World::all().await {
        let mut request = person("Ada");
        request.password = "correct horse battery staple".into();
        let user = world.create(&request).await.unwrap();
        world.assign(&user.id, "viewer").await;
        world.grant(&user.id, "users.create").await;
        for identifier in [
            Identifier::Login("aDa".into()),
            Identifier::Login("ADA@example.org".into()),
            Identifier::UserId(user.id.clone()),
        ] {
            let found = credential(&world, identifier).await.unwrap();
            assert!(
                found.password_hash.starts_with("$argon2id$") && found.password_change_required
            );
            assert!(found.forbidden_passwords.contains(&"ada".to_owned()));
            let access = found.access.unwrap();
            assert_eq!(
                (access.user_id.as_str(), access.status()),
                (user.id.as_str(), UserStatus::Active)
            );
            assert_eq!(access.roles[0].name, "viewer");
            assert_eq!(access.direct_permissions[0].name, "users.create");
            assert_eq!(
                access.effective_permissions,
                world.get_self(&user.id).await.unwrap().permissions
            );
            assert!(access.position.unwrap().revision > 0);
        }
        for nobody in ["nobody".to_owned(), "é".repeat(200)] {
            let unknown = credential(&world, Identifier::Login(nobody)).await;
            assert_eq!(reason(unknown), ErrorReason::UserNotFound);
        }
        let long = credential(&world, Identifier::Login("é".repeat(255))).await;
        assert_eq!(violated(long), ["login"]);
        let empty = world
            .credentials()
            .get_credential(with_key(wire::GetCredentialRequest::default(), SERVICE_KEY))
            .await;
        assert_eq!(violated(empty), ["identifier"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_is_set_once_and_only_over_what_was_read() {
    for world in World::all().await {
        let mut request = person("ada");
        request.password = "correct horse battery staple".into();
        let user = world.create(&request).await.unwrap();
        let read = credential(&world, Identifier::UserId(user.id.clone()))
            .await
            .unwrap();
        let change = |operation: &str, expected| wire::SetPasswordHashRequest {
            user_id: user.id.clone(),
            password_hash: format!("$argon2id${operation}"),
            expected_credential_version: expected,
            operation_id: operation.into(),
            cause: PasswordChangeCause::Change.into(),
            spared_session_id: "s1".into(),
        };
        let set = async |request| {
            let answer = world
                .credentials()
                .set_password_hash(with_key(request, SERVICE_KEY))
                .await?;
            Ok::<_, Status>(answer.into_inner())
        };
        let first = set(change("a", read.credential_version)).await.unwrap();
        assert_eq!(first.credential_version, read.credential_version + 1);
        let again = set(change("a", read.credential_version)).await.unwrap();
        assert_eq!(again.credential_version, first.credential_version);
        assert_eq!(
            reason(set(change("b", read.credential_version)).await),
            ErrorReason::Conflict
        );
        let now = credential(&world, Identifier::UserId(user.id.clone()))
            .await
            .unwrap();
        assert_eq!(now.password_hash, "$argon2id$a");
        assert!(!now.password_change_required);
        let mut unknown = change("c", 0);
        unknown.user_id = "nobody".into();
        assert_eq!(reason(set(unknown).await), ErrorReason::UserNotFound);
        let malformed = wire::SetPasswordHashRequest {
            cause: 9,
            ..Default::default()
        };
        assert_eq!(
            violated(set(malformed).await),
            ["user_id", "password_hash", "operation_id", "cause"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehash_leaves_the_demand_for_a_change() {
    for world in World::all().await {
        let mut request = person("ada");
        request.password = "correct horse battery staple".into();
        let user = world.create(&request).await.unwrap();
        let request = wire::SetPasswordHashRequest {
            user_id: user.id.clone(),
            password_hash: "$argon2id$x".into(),
            operation_id: "r".into(),
            cause: PasswordChangeCause::Rehash.into(),
            ..Default::default()
        };
        world
            .credentials()
            .set_password_hash(with_key(request, SERVICE_KEY))
            .await
            .unwrap();
        assert!(
            credential(&world, Identifier::UserId(user.id))
                .await
                .unwrap()
                .password_change_required
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_service_reads_credentials_and_only_inside() {
    for world in World::all().await {
        let request = || wire::GetAccessSnapshotRequest {
            user_id: world.admin.id.clone(),
            ..Default::default()
        };
        let snapshot = world
            .credentials()
            .get_access_snapshot(with_key(request(), SERVICE_KEY))
            .await
            .unwrap();
        let access = snapshot.into_inner().access.unwrap();
        assert_eq!(access.roles[0].name, "admin");
        let wrong = world
            .credentials()
            .get_access_snapshot(with_key(request(), &"x".repeat(32)))
            .await;
        assert_eq!(reason(wrong), ErrorReason::ServiceIdentityRequired);
        let scope = world
            .credentials()
            .get_access_snapshot(with_key(request(), GATEWAY_KEY))
            .await;
        assert_eq!(reason(scope), ErrorReason::ScopeRequired);
        let user = world
            .credentials()
            .get_access_snapshot(world.by_admin(request()))
            .await;
        assert_eq!(reason(user), ErrorReason::ServiceIdentityRequired);
        let mut outside =
            wire::credential_service_client::CredentialServiceClient::new(world.public());
        let absent = outside
            .get_access_snapshot(with_key(request(), SERVICE_KEY))
            .await;
        assert_eq!(reason(absent), ErrorReason::MethodNotFound);
        let ahead = wire::GetAccessSnapshotRequest {
            min_position: Some(wire::UserFeedPosition {
                epoch: "other".into(),
                revision: 1,
            }),
            ..request()
        };
        let ahead = world
            .credentials()
            .get_access_snapshot(with_key(ahead, SERVICE_KEY))
            .await;
        assert_eq!(reason(ahead), ErrorReason::RevisionNotReached);
    }
}
