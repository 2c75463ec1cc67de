//! The whole journey through grpcurl alone: from the creation of a user to refusal after logout.

use identity_dev::administrator::random_password;
use serde_json::{Value, json};

use crate::harness::{Store, World, grpcurl::Grpcurl, requirements};

on_both_stores!(a_user_lives_from_creation_to_logout_by_grpcurl_alone);

const CREATE_USER: &str = "identity.user.v1.UserService/CreateUser";
const LIST_USERS: &str = "identity.user.v1.UserService/ListUsers";
const LIST_ROLES: &str = "identity.user.v1.RoleService/ListRoles";
const ASSIGN_ROLES: &str = "identity.user.v1.RoleService/AssignRoles";
const LOGIN: &str = "identity.auth.v1.AuthService/Login";
const CONTINUE_LOGIN: &str = "identity.auth.v1.AuthService/ContinueLogin";
const VALIDATE_TOKEN: &str = "identity.auth.v1.AuthService/ValidateToken";
const REFRESH_TOKEN: &str = "identity.auth.v1.AuthService/RefreshToken";
const LOGOUT: &str = "identity.auth.v1.AuthService/Logout";

async fn a_user_lives_from_creation_to_logout_by_grpcurl_alone(store: Store) {
    let Some(program) = requirements::grpcurl("the journey") else {
        return;
    };
    let world = World::running(store).await;
    let users = Grpcurl {
        program,
        target: world.user.launch.endpoints.public,
    };
    let auth = Grpcurl {
        target: world.auth.launch.endpoints.public,
        ..users.clone()
    };
    let admin = world.admin.clone();
    // grpcurl is waited for, so it runs where waiting does no harm.
    tokio::task::spawn_blocking(move || travel(&users, &auth, &admin))
        .await
        .unwrap();
    world.dispose().await;
}

fn travel(users: &Grpcurl, auth: &Grpcurl, admin: &str) {
    let listed = users.list();
    assert!(
        listed.contains(&"identity.user.v1.UserService".to_owned()),
        "{listed:?}"
    );
    assert!(
        !listed.contains(&"identity.user.v1.CredentialService".to_owned()),
        "an internal service is shown to the public: {listed:?}"
    );

    let (first, password) = (random_password().unwrap(), random_password().unwrap());
    let user = json!({
        "username": "grace", "email": "Grace@Example.org", "first_name": "Grace",
        "last_name": "Hopper", "password": first,
    });
    let created = users.call(CREATE_USER, &user, Some(admin)).unwrap();
    let id = text(&created, "/user/id");

    let login = json!({"identifier": "grace", "password": first});
    let challenge = auth.call(LOGIN, &login, None).unwrap();
    assert_eq!(
        challenge.pointer("/challenge/kind"),
        Some(&json!("CHALLENGE_KIND_PASSWORD_CHANGE"))
    );
    let answer = json!({
        "challenge_token": text(&challenge, "/challenge/challengeToken"),
        "password_change": {"new_password": password},
    });
    let session = auth.call(CONTINUE_LOGIN, &answer, None).unwrap();
    let token = text(&session, "/tokens/accessToken");

    let valid = auth.call(VALIDATE_TOKEN, &json!({"access_token": token}), None);
    assert_eq!(text(&valid.unwrap(), "/userId"), id);
    let refused = users.call(LIST_USERS, &json!({}), Some(&token));
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, "PermissionDenied");
    assert!(refused.has_reason("PERMISSION_REQUIRED"), "{refused:?}");

    let roles = users.call(LIST_ROLES, &json!({"name": "viewer"}), Some(admin));
    let role = text(&roles.unwrap(), "/roles/0/id");
    let assignment = json!({"user_id": id, "role_ids": [role]});
    users.call(ASSIGN_ROLES, &assignment, Some(admin)).unwrap();
    let login = json!({"identifier": "grace@example.ORG", "password": password});
    let session = auth.call(LOGIN, &login, None).unwrap();
    let token = text(&session, "/tokens/accessToken");
    users.call(LIST_USERS, &json!({}), Some(&token)).unwrap();

    let refresh = json!({"refresh_token": text(&session, "/tokens/refreshToken")});
    let session = auth.call(REFRESH_TOKEN, &refresh, None).unwrap();
    let token = text(&session, "/tokens/accessToken");
    users.call(LIST_USERS, &json!({}), Some(&token)).unwrap();
    auth.call(LOGOUT, &json!({}), Some(&token)).unwrap();

    let refresh = json!({"refresh_token": text(&session, "/tokens/refreshToken")});
    let gone = json!({"access_token": token});
    for (outcome, reason) in [
        (
            auth.call(REFRESH_TOKEN, &refresh, None),
            "REFRESH_TOKEN_INVALID",
        ),
        (auth.call(VALIDATE_TOKEN, &gone, None), "TOKEN_REVOKED"),
        (
            users.call(LIST_USERS, &json!({}), Some(&token)),
            "TOKEN_REVOKED",
        ),
        (auth.call(LOGOUT, &json!({}), Some(&token)), "TOKEN_REVOKED"),
    ] {
        let refused = outcome.unwrap_err();
        assert_eq!(refused.code, "Unauthenticated", "{refused:?}");
        assert!(refused.has_reason(reason), "{reason}: {refused:?}");
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("{pointer} is missing in {value}"))
        .to_owned()
}
