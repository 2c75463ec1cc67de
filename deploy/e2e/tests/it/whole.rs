//! One journey through every RPC of `identity.user.v1`, by grpcurl alone: each succeeds at least once, says what it
//! should, and what it writes is seen by another; and each refuses once what it should.

mod accounts;
mod bulk;
mod farewell;
mod inside;
mod people;
mod plans;
mod record;
mod rights;
mod story;
mod types;

use std::{cell::RefCell, collections::BTreeSet};

use identity_dev::service::Link;
use identity_proto::DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;

use crate::harness::{Store, World, requirements};
use story::{PACKAGE, Story};

on_both_stores!(every_rpc_of_user_service_has_its_place_in_one_journey);

async fn every_rpc_of_user_service_has_its_place_in_one_journey(store: Store) {
    let Some(program) = requirements::grpcurl("the journey through every RPC") else {
        return;
    };
    let mut world = World::linked(store, Link::ServiceKey).await;
    let switch = "--self-registration".to_owned();
    world.user.launch.extra.push(switch);
    world.start().await;
    let tale = Story::of(&world, program);
    // grpcurl is waited for, so it runs where waiting does no harm.
    let travelled = tokio::task::spawn_blocking(move || travel(tale));
    let [told, denied] = travelled.await.unwrap();
    let contract = rpcs_of_the_contract();
    let left_out: Vec<_> = contract.difference(&told).collect();
    assert!(
        left_out.is_empty(),
        "give {left_out:?} a place in the journey"
    );
    let unrefused: Vec<_> = contract.difference(&denied).collect();
    assert!(unrefused.is_empty(), "see {unrefused:?} refuse something");
    world.dispose().await;
}

/// The whole way; the answer is which RPCs have succeeded, and which have refused.
fn travel(story: Story) -> [BTreeSet<String>; 2] {
    let begin = record::follow_from_the_start(&story);
    let researcher = types::set_up(&story);
    let grace = people::settle(&story, &researcher);
    types::cannot_be_taken_from_somebody(&story, &researcher);
    let ivan = people::status_goes_up_and_down(&story);
    rights::are_given_and_taken(&story, &grace, &ivan);
    plans::entitle(&story, &grace);
    accounts::begin_and_move(&story);
    inside::hands_out_credentials(&story, &grace, &ivan);
    bulk::goes_in_and_comes_out(&story);
    let gone = farewell::is_for_good(&story, &ivan);
    record::tells_everything(&story, &begin, &ivan, &gone);
    [story.told, story.denied].map(RefCell::into_inner)
}

/// Every RPC of the package, as `Service/Method`.
fn rpcs_of_the_contract() -> BTreeSet<String> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let services = pool
        .services()
        .filter(|service| service.package_name() == PACKAGE);
    let rpcs: BTreeSet<_> = services
        .flat_map(|service| {
            let name = service.name().to_owned();
            let method =
                move |method: prost_reflect::MethodDescriptor| format!("{name}/{}", method.name());
            service.methods().map(method).collect::<Vec<_>>()
        })
        .collect();
    assert!(rpcs.len() > 50, "{rpcs:?}");
    rpcs
}
