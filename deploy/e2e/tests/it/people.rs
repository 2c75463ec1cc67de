//! People by grpcurl: names that nobody can fake, searches, and an account that somebody begins and proves.

use identity_dev::{
    administrator::random_password,
    service::{Endpoints, Link},
};
use serde_json::{Value, json};

use crate::harness::{Store, World, grpcurl::Grpcurl, mail, requirements};

on_both_stores!(
    names_are_safe_and_people_are_found_by_grpcurl,
    somebody_registers_and_changes_the_address_by_grpcurl,
);

const CREATE_USER: &str = "identity.user.v1.UserService/CreateUser";
const LIST_USERS: &str = "identity.user.v1.UserService/ListUsers";
const REGISTER_USER: &str = "identity.user.v1.UserService/RegisterUser";
const CONFIRM_EMAIL: &str = "identity.user.v1.UserService/ConfirmEmail";
const REQUEST_EMAIL_CHANGE: &str = "identity.user.v1.UserService/RequestEmailChange";
const LOGIN: &str = "identity.auth.v1.AuthService/Login";

/// grpcurl against a service, called where waiting does no harm.
async fn call(
    program: &Grpcurl,
    method: &'static str,
    message: Value,
    token: Option<&str>,
) -> Result<Value, String> {
    let (program, token) = (program.clone(), token.map(str::to_owned));
    let answer =
        tokio::task::spawn_blocking(move || program.call(method, &message, token.as_deref()));
    answer.await.unwrap().map_err(|refusal| {
        let text = refusal.text.replace(' ', "");
        let reason = text.split(r#""reason":""#).nth(1).unwrap_or_default();
        reason.split('"').next().unwrap_or_default().to_owned()
    })
}

fn named(username: &str, email: &str, first: &str, last: &str) -> Value {
    json!({ "username": username, "email": email, "first_name": first, "last_name": last })
}

fn grpcurl(program: std::path::PathBuf, endpoints: Endpoints) -> Grpcurl {
    Grpcurl {
        program,
        target: endpoints.public,
    }
}

async fn names_are_safe_and_people_are_found_by_grpcurl(store: Store) {
    let Some(program) = requirements::grpcurl("names and searches") else {
        return;
    };
    let world = World::running(store).await;
    let users = grpcurl(program, world.user.launch.endpoints);
    let admin = Some(world.admin.as_str());
    let zoe = named("zoe.o", "Zoe@exämple.org", "Zoë", "Østergård");
    call(&users, CREATE_USER, zoe, admin).await.unwrap();
    for (username, email, reason) in [
        ("Z0E_0", "other@example.org", "USERNAME_TAKEN"),
        ("postmaster", "other@example.org", "USERNAME_TAKEN"),
        ("other", "ZOE@xn--exmple-cua.org", "EMAIL_TAKEN"),
    ] {
        let faked = named(username, email, "Not", "Her");
        let refused = call(&users, CREATE_USER, faked, admin).await;
        assert_eq!(refused.unwrap_err(), reason, "{username}");
    }
    for (query, count) in [
        ("zoe ost", 1),
        ("ØSTER", 1),
        ("z", 1),
        ("%", 0),
        ("\" OR 1=1", 0),
    ] {
        let search = json!({ "query": query, "estimate_total": true });
        let found = call(&users, LIST_USERS, search, admin).await.unwrap();
        assert_eq!(
            found["estimatedTotal"],
            json!(count.to_string()),
            "{query}: {found}"
        );
    }
    let holders = json!({ "permission": "users.read", "query": "root-admin" });
    let found = call(&users, LIST_USERS, holders, admin).await.unwrap();
    assert_eq!(found["users"][0]["username"], json!("root-admin"));
    let begun = named("grace", "grace@example.org", "Grace", "Hopper");
    let refused = call(&users, REGISTER_USER, begun, None).await;
    assert_eq!(refused.unwrap_err(), "SELF_REGISTRATION_OFF");
    world.dispose().await;
}

async fn somebody_registers_and_changes_the_address_by_grpcurl(store: Store) {
    let Some(program) = requirements::grpcurl("registration") else {
        return;
    };
    let mut world = World::linked(store, Link::ServiceKey).await;
    world
        .user
        .launch
        .extra
        .push("--self-registration".to_owned());
    world.start().await;
    let users = grpcurl(program.clone(), world.user.launch.endpoints);
    let auth = grpcurl(program, world.auth.launch.endpoints);
    let password = random_password().unwrap();
    let mut begun = named("grace", "grace@example.org", "Grace", "Hopper");
    let until = call(&users, REGISTER_USER, begun.clone(), None)
        .await
        .unwrap();
    assert!(until["expireTime"].is_string(), "{until}");
    begun["username"] = json!("another");
    begun["email"] = json!("root-admin@example.org");
    let until = call(&users, REGISTER_USER, begun, None).await.unwrap();
    assert!(until["expireTime"].is_string(), "{until}");

    let login = json!({ "identifier": "grace", "password": password });
    let refused = call(&auth, LOGIN, login.clone(), None).await;
    assert_eq!(refused.unwrap_err(), "INVALID_CREDENTIALS");
    let mails = mail::claim(&world).await;
    let token_for = |email: &str| {
        let mail = mails.iter().find(|mail| mail.email == email).unwrap();
        mail.token.clone()
    };
    assert!(token_for("root-admin@example.org").is_empty());
    // Whoever reads the mail chooses the password.
    let token = json!({ "token": token_for("grace@example.org") });
    let refused = call(&users, CONFIRM_EMAIL, token.clone(), None).await;
    assert_eq!(refused.unwrap_err(), "INVALID_FIELDS");
    let mut token = token;
    token["password"] = json!(password);
    let confirmed = call(&users, CONFIRM_EMAIL, token.clone(), None)
        .await
        .unwrap();
    assert!(confirmed["userId"].is_string(), "{confirmed}");
    let refused = call(&users, CONFIRM_EMAIL, token, None).await;
    assert_eq!(refused.unwrap_err(), "EMAIL_TOKEN_INVALID");

    let session = call(&auth, LOGIN, login, None).await.unwrap();
    let access = session["tokens"]["accessToken"].as_str().unwrap();
    let change = json!({ "email": "hopper@example.org" });
    call(&users, REQUEST_EMAIL_CHANGE, change, Some(access))
        .await
        .unwrap();
    let mails = mail::claim(&world).await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    let token = json!({ "token": mails[0].token });
    call(&users, CONFIRM_EMAIL, token, None).await.unwrap();
    let login = json!({ "identifier": "hopper@example.org", "password": password });
    call(&auth, LOGIN, login, None).await.unwrap();
    world.dispose().await;
}
