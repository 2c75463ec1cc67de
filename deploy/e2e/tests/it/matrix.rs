//! Every RPC of the contract × every kind of caller × every listener: who is let in is what the contract says.

mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use identity_dev::{
    health,
    service::{Link, Service},
};
use identity_proto::DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use tokio::time::{Instant, sleep};
use tonic::{Code, metadata::MetadataMap, transport::Channel};

use crate::harness::{
    Person, Store, World,
    person::{reason_of, validate},
    raw,
};
use table::{Admitted, Expected, ROWS, Row, Rule};

on_both_stores!(every_caller_gets_what_the_contract_says);

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    NoToken,
    Garbage,
    Expired,
    Ordinary,
    Administrator,
    ServiceKey,
}

const CALLERS: [Caller; 6] = [
    Caller::NoToken,
    Caller::Garbage,
    Caller::Expired,
    Caller::Ordinary,
    Caller::Administrator,
    Caller::ServiceKey,
];

/// Which listener is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    Public,
    Internal,
}

#[test]
fn the_table_has_a_row_for_every_rpc_and_its_rule() {
    let contract = rules_of_the_contract();
    let table: BTreeMap<_, _> = ROWS
        .iter()
        .map(|row| (row.path.to_owned(), row.rule.to_string()))
        .collect();
    let without_row: BTreeSet<_> = contract
        .keys()
        .filter(|rpc| !table.contains_key(*rpc))
        .collect();
    assert!(without_row.is_empty(), "add a row for {without_row:?}");
    assert_eq!(table, contract);
}

async fn every_caller_gets_what_the_contract_says(store: Store) {
    let scene = Scene::set(store).await;
    let mut wrong = Vec::new();
    for row in ROWS {
        for listener in [Listener::Public, Listener::Internal] {
            for caller in CALLERS {
                let outcome = scene.call(row, listener, caller).await;
                let expected = expected(row, listener, caller);
                if outcome != expected {
                    wrong.push(format!(
                        "{} {listener:?} {caller:?}: {outcome:?} instead of {expected:?}",
                        row.path
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    scene.world.dispose().await;
}

/// What the contract promises for a cell.
fn expected(row: &Row, listener: Listener, caller: Caller) -> Expected {
    let admitted = row.admitted.expected();
    if let Rule::Service(_) = row.rule {
        return match (caller, listener) {
            (Caller::ServiceKey, Listener::Internal) => admitted,
            // Past the door there is nothing: internal services are not on the public listener.
            (Caller::ServiceKey, Listener::Public) => (Code::Unimplemented, "METHOD_NOT_FOUND"),
            _ => (Code::Unauthenticated, "SERVICE_IDENTITY_REQUIRED"),
        };
    }
    if row.rule == Rule::Public {
        return admitted;
    }
    match caller {
        Caller::NoToken | Caller::ServiceKey => (Code::Unauthenticated, "TOKEN_MISSING"),
        Caller::Garbage => (Code::Unauthenticated, "TOKEN_INVALID"),
        Caller::Expired => (Code::Unauthenticated, "TOKEN_EXPIRED"),
        Caller::Administrator => admitted,
        Caller::Ordinary => match row.rule {
            Rule::Permission(_) => (Code::PermissionDenied, "PERMISSION_REQUIRED"),
            // An empty message names nobody, and so not the caller.
            Rule::SelfOr(..) => (Code::NotFound, "NOT_FOUND"),
            _ => admitted,
        },
    }
}

/// A running pair and a credential of every kind.
struct Scene {
    world: World,
    administrator: Person,
    ordinary: Person,
    expired: String,
    internal: [Channel; 2],
}

impl Scene {
    async fn set(store: Store) -> Self {
        let mut world = World::linked(store, Link::ServiceKey).await;
        world.auth.launch.extra = vec!["--access-token-seconds=10".to_owned()];
        world.start().await;
        let ordinary = world.person("ordinary").await;
        let expired = ordinary.log_in(&world.api).await.unwrap().access_token;
        let administrator = administrator(&world).await;

        // The same keys, and tokens of the usual life from now on.
        world.auth.terminate();
        world.auth.ended_within(Duration::from_secs(30)).await;
        world.auth.launch.extra.clear();
        world.auth.start();
        world.ready().await;
        world.admin = administrator.log_in(&world.api).await.unwrap().access_token;
        until_expired(&world, &expired).await;
        let internal = [&world.user, &world.auth]
            .map(|replica| health::channel(replica.launch.endpoints.internal).unwrap());
        Self {
            world,
            administrator,
            ordinary,
            expired,
            internal,
        }
    }

    /// Calls with an empty message.
    async fn call(&self, row: &Row, listener: Listener, caller: Caller) -> Expected {
        let service = row.service();
        let channel = match (listener, service) {
            (Listener::Public, Service::User) => &self.world.user.channel,
            (Listener::Public, Service::Auth) => &self.world.auth.channel,
            (Listener::Internal, Service::User) => &self.internal[0],
            (Listener::Internal, Service::Auth) => &self.internal[1],
        };
        let metadata = self.credential(service, caller).await;
        match raw::call(channel, row.path, Vec::new(), metadata).await {
            Ok(_) => Admitted::Ok.expected(),
            Err(status) => {
                let reason = reason_of(&status).unwrap_or_else(|| format!("{status:?}"));
                (status.code(), table::known_reason(&reason))
            }
        }
    }

    /// A login for each call, since some calls end the session of their token.
    async fn credential(&self, service: Service, caller: Caller) -> MetadataMap {
        let log_in = async |person: &Person| person.log_in(&self.world.api).await.unwrap();
        match caller {
            Caller::NoToken => MetadataMap::new(),
            Caller::Garbage => raw::bearer("garbage"),
            Caller::Expired => raw::bearer(&self.expired),
            Caller::Ordinary => raw::bearer(&log_in(&self.ordinary).await.access_token),
            Caller::Administrator => raw::bearer(&log_in(&self.administrator).await.access_token),
            Caller::ServiceKey => {
                let file = self.world.material.service_key(service.peer());
                raw::service_key(&std::fs::read_to_string(file).unwrap())
            }
        }
    }
}

/// A person with the role admin.
async fn administrator(world: &World) -> Person {
    let person = world.person("matrix-admin").await;
    let request = identity_proto::user::v1::AssignRolesRequest {
        user_id: person.id.clone(),
        role_ids: vec![world.role_id("admin").await],
        expire_time: None,
    };
    let answer = world.api.roles(&world.admin).assign_roles(request).await;
    answer.unwrap();
    person
}

/// Waits for the end of a short life and the leeway after it.
async fn until_expired(world: &World, token: &str) {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        if let Err(status) = validate(&world.api, token).await
            && reason_of(&status).as_deref() == Some("TOKEN_EXPIRED")
        {
            return;
        }
        assert!(Instant::now() < deadline, "the token does not expire");
        sleep(Duration::from_millis(250)).await;
    }
}

/// The rule of every RPC of our packages, as text.
fn rules_of_the_contract() -> BTreeMap<String, String> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let extension = pool
        .get_extension_by_name("identity.access.v1.rule")
        .unwrap();
    pool.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let options = method.options();
            let rule = options.get_extension(&extension);
            (path, rule_text(rule.as_message().unwrap()))
        })
        .collect()
}

/// A rule as [`Rule`] shows it.
fn rule_text(rule: &DynamicMessage) -> String {
    let text = |message: &DynamicMessage, field: &str| {
        let value = message.get_field_by_name(field).unwrap();
        value.as_str().unwrap().to_owned()
    };
    let (kind, value) = rule.fields().next().expect("a kind of rule");
    let Value::Message(detail) = value else {
        panic!("{kind:?} is no message");
    };
    match kind.name() {
        "public" => Rule::Public.to_string(),
        "authenticated" => Rule::Authenticated.to_string(),
        "permission" => Rule::Permission(&text(detail, "name")).to_string(),
        "self_or_permission" => {
            Rule::SelfOr(&text(detail, "name"), &text(detail, "field")).to_string()
        }
        "service" => Rule::Service(&text(detail, "scope")).to_string(),
        other => panic!("a rule of an unknown kind: {other}"),
    }
}
