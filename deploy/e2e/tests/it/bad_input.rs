//! Bad input, generated from the contract: refused with every wrong field named, never a failure of the server.

mod fault;
mod judge;
mod values;

use identity_proto::{
    DESCRIPTOR_SET,
    auth::v1::login_response,
    user::v1::{ListUsersRequest, UserOrder},
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};

use crate::harness::{
    Store, World,
    person::{log_in, reason_of},
    raw,
};
use identity_dev::{
    administrator::random_password,
    health,
    service::{Link, Service},
    session,
};
use judge::{judge, violated_fields};
use values::Mutation;

on_both_stores!(
    no_value_in_any_field_makes_a_server_fail,
    an_identifier_that_nobody_can_have_is_a_wrong_one,
    every_wrong_field_is_named_at_once,
    page_tokens_are_bound_to_caller_and_query,
    what_is_no_message_is_refused_as_such,
);

/// A running pair with its internal listeners in reach.
struct Scene {
    world: World,
    internal: [Channel; 2],
    pool: DescriptorPool,
}

impl Scene {
    async fn set(store: Store) -> Self {
        let mut world = World::linked(store, Link::ServiceKey).await;
        world.start().await;
        let internal = [&world.user, &world.auth]
            .map(|replica| health::channel(replica.launch.endpoints.internal).unwrap());
        Self {
            world,
            internal,
            pool: DescriptorPool::decode(DESCRIPTOR_SET).unwrap(),
        }
    }

    /// Calls as somebody who may, on the internal listener, which serves everything.
    async fn call(&self, method: &MethodDescriptor, message: Vec<u8>) -> Result<(), Status> {
        let service = method.parent_service();
        let (channel, peer) = if service.full_name().starts_with("identity.user.") {
            (&self.internal[0], Service::Auth)
        } else {
            (&self.internal[1], Service::User)
        };
        let key = std::fs::read_to_string(self.world.material.service_key(peer)).unwrap();
        let mut metadata: MetadataMap = raw::bearer(&self.world.admin);
        metadata.insert("x-service-key", key.parse().unwrap());
        let path = format!("/{}/{}", service.full_name(), method.name());
        raw::call(channel, &path, message, metadata).await.map(drop)
    }

    /// Puts a challenge that waits for its answer into a `ContinueLogin` whose fault is elsewhere.
    async fn put_real_challenge(&self, method: &MethodDescriptor, mutation: &mut Mutation) {
        let token = "challenge_token";
        if method.name() != "ContinueLogin" || mutation.field == token {
            return;
        }
        let password = random_password().unwrap();
        let name = format!("challenged-{}", &password[..6]);
        let world = &self.world;
        world.create_user_with_password(&name, &password).await;
        let begun = session::begin(&world.api, &name, &password).await.unwrap();
        let login_response::Result::Challenge(challenge) = begun else {
            panic!("a password that somebody else chose need not be changed");
        };
        let value = prost_reflect::Value::String(challenge.challenge_token);
        mutation.message.set_field_by_name(token, value);
    }

    fn method(&self, service: &str, name: &str) -> MethodDescriptor {
        let service = self.pool.get_service_by_name(service).unwrap();
        service
            .methods()
            .find(|method| method.name() == name)
            .unwrap()
    }
}

async fn no_value_in_any_field_makes_a_server_fail(store: Store) {
    let scene = Scene::set(store).await;
    let mut wrong = Vec::new();
    let mut calls = 0;
    let services: Vec<_> = scene.pool.services().collect();
    for method in services
        .iter()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        // Logout would end the caller's session; its message has no fields.
        if method.input().fields().len() == 0 {
            continue;
        }
        for mut mutation in values::mutations(&method.input()) {
            // What comes first on a stream is the start; anything else is refused for that alone.
            if method.is_client_streaming() && !mutation.field.starts_with("start") {
                continue;
            }
            scene.put_real_challenge(&method, &mut mutation).await;
            let outcome = scene.call(&method, mutation.message.encode_to_vec()).await;
            calls += 1;
            if let Some(complaint) = judge(&method.input(), &mutation, outcome) {
                wrong.push(format!("{} {complaint}", method.full_name()));
            }
        }
    }
    assert!(calls > 500, "only {calls} calls were generated");
    assert!(
        wrong.is_empty(),
        "{} of {calls}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    scene.world.dispose().await;
}

/// Nobody is told whether there could be such a user.
async fn an_identifier_that_nobody_can_have_is_a_wrong_one(store: Store) {
    let world = World::running(store).await;
    let password = "a wrong password, long enough";
    let accents = "é".repeat(200);
    let address = format!("{accents}@example.org");
    let wide = "\u{1f600}".repeat(64);
    let mut wrong = Vec::new();
    for identifier in [&*accents, &address, &wide, "e\u{301}", "@", "-"] {
        let status = log_in(&world.api, identifier, password).await.unwrap_err();
        if reason_of(&status).as_deref() != Some("INVALID_CREDENTIALS") {
            wrong.push(format!("{identifier:.20}: {status:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.dispose().await;
}

async fn every_wrong_field_is_named_at_once(store: Store) {
    let scene = Scene::set(store).await;
    let method = scene.method("identity.user.v1.UserService", "CreateUser");
    let status = scene.call(&method, Vec::new()).await.unwrap_err();
    let mut violated = violated_fields(&status);
    violated.sort();
    assert_eq!(violated, ["email", "first_name", "last_name", "username"]);

    let mut message = values::valid(&method.input());
    for (field, text) in [
        ("email", "nobody"),
        ("phone", "12345"),
        ("username", "-"),
        ("password", "short"),
    ] {
        message.set_field_by_name(field, prost_reflect::Value::String(text.to_owned()));
    }
    let status = scene.call(&method, message.encode_to_vec()).await;
    let mut violated = violated_fields(&status.unwrap_err());
    violated.sort();
    assert_eq!(violated, ["email", "password", "phone", "username"]);
    scene.world.dispose().await;
}

async fn page_tokens_are_bound_to_caller_and_query(store: Store) {
    let scene = Scene::set(store).await;
    let world = &scene.world;
    for name in ["ada", "grace"] {
        world.create_user(name).await;
    }
    let page = ListUsersRequest {
        page_size: 1,
        ..ListUsersRequest::default()
    };
    let mut users = world.api.users(&world.admin);
    let answer = users.list_users(page.clone()).await.unwrap();
    let token = answer.into_inner().next_page_token;
    let next = ListUsersRequest {
        page_token: token.clone(),
        ..page.clone()
    };
    users.list_users(next.clone()).await.unwrap();

    let mut flipped = token.clone();
    let last = if flipped.ends_with('A') { 'B' } else { 'A' };
    flipped.replace_range(5..6, &last.to_string());
    if flipped == token {
        flipped.replace_range(5..6, "C");
    }
    let forged = ListUsersRequest {
        page_token: flipped,
        ..page.clone()
    };
    let other_query = ListUsersRequest {
        order: UserOrder::UsernameAsc.into(),
        ..next
    };
    let cut = ListUsersRequest {
        page_token: token[..token.len() / 2].to_owned(),
        ..page
    };
    for request in [forged, other_query, cut] {
        let status = users.list_users(request).await.unwrap_err();
        assert_eq!(violated_fields(&status), ["page_token"], "{status:?}");
    }
    scene.world.dispose().await;
}

async fn what_is_no_message_is_refused_as_such(store: Store) {
    let scene = Scene::set(store).await;
    let create = scene.method("identity.user.v1.UserService", "CreateUser");
    let login = scene.method("identity.auth.v1.AuthService", "Login");
    // Field 1 of both is text: bytes that are no UTF-8, and a length beyond the end.
    for bytes in [vec![0x0A, 2, 0xFF, 0xFE], vec![0x0A, 0x7F, b'a']] {
        for method in [&create, &login] {
            let status = scene.call(method, bytes.clone()).await.unwrap_err();
            let reason = reason_of(&status);
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert_eq!(reason.as_deref(), Some("MALFORMED_MESSAGE"), "{status:?}");
        }
    }
    let mut huge = DynamicMessage::new(create.input());
    let text = prost_reflect::Value::String("x".repeat(5_000_000));
    huge.set_field_by_name("username", text);
    let status = scene.call(&create, huge.encode_to_vec()).await.unwrap_err();
    let reason = reason_of(&status);
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason.as_deref(), Some("MESSAGE_TOO_LARGE"), "{status:?}");
    scene.world.dispose().await;
}
